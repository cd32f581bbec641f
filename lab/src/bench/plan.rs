//! What is measured: the agent beside what people write today, in guests of several sizes.

use qemu_tests::bench::{Order, SHELL, TREE};

use super::machine::{self, CARD, CARD_PATH};
use super::peers::DRIVERCTL as DRIVERCTL_PROGRAM;
use super::tree;

/// Where the image has the agent.
const AGENT: &str = "/usr/bin/vfio-bind-agent";
/// Where it has the hooks.
pub const HOOKS: &str = "usr/lib/hooks";
/// How often the clock runs along where a run takes this many functions at most; the median counts. Runs
/// are within a hundredth of each other, and long ones within a thousandth.
const TIMES: [(usize, usize); 3] = [(64, 3), (1024, 3), (usize::MAX, 1)];
/// What vfio-pci brings along, as it is unloaded.
const MODULES: [&str; 5] = [
    "vfio_pci",
    "vfio_pci_core",
    "vfio_virqfd",
    "vfio_iommu_type1",
    "vfio",
];

/// What the agent says of a plan for one function and no other.
const ONE: &str = "1 function would go to vfio-pci; nothing was written";

/// A hook in shell, by its name; its text.
pub const SCRIPTS: [(&str, &str); 5] = [
    ("address", include_str!("hooks/address.sh")),
    ("id", include_str!("hooks/id.sh")),
    ("class", include_str!("hooks/class.sh")),
    ("group", include_str!("hooks/group.sh")),
    ("boot", include_str!("hooks/boot.sh")),
];

/// How a function is selected, and what is beside the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector {
    /// In a table.
    pub name: &'static str,
    /// Who does the same.
    pub peer: Peer,
}

/// What people use today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A hook in shell, by its name.
    Hook(&'static str),
    /// driverctl, as the unit of a function runs it at boot.
    Driverctl,
    /// A shell that ends at once.
    Shell,
}

/// By address, whoever is in its group comes along.
const ADDRESS: Selector = Selector {
    name: "address",
    peer: Peer::Hook("address"),
};
/// By address, beside a hook that takes the group along as well.
const GROUP: Selector = Selector {
    name: "address, group",
    peer: Peer::Hook("group"),
};
/// By address, beside driverctl.
const DRIVERCTL: Selector = Selector {
    name: "address, driverctl",
    peer: Peer::Driverctl,
};
/// By path; nobody writes such a hook, so it is beside one by address.
const PATH: Selector = Selector {
    name: "path",
    peer: Peer::Hook("address"),
};
/// By ID.
const ID: Selector = Selector {
    name: "ID",
    peer: Peer::Hook("id"),
};
/// By class.
const CLASS: Selector = Selector {
    name: "class",
    peer: Peer::Hook("class"),
};
/// Nothing is asked.
const NOTHING: Selector = Selector {
    name: "nothing",
    peer: Peer::Shell,
};

/// All that find the same function in different ways.
const ALL: [Selector; 5] = [ADDRESS, GROUP, PATH, ID, CLASS];

/// Those that do not differ from another one by the size of the machine.
const MOST: [Selector; 4] = [ADDRESS, PATH, ID, CLASS];

/// What is done with the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// There is nothing to do.
    Idle,
    /// It is bound; vfio-pci is loaded and no driver has it.
    Bind,
    /// The agent plans; the hook does all that it does.
    Plan,
    /// vfio-pci is loaded, too.
    Load,
}

/// The agent, and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// How many functions the machine, or the made-up tree, has.
    pub functions: usize,
    /// Whether it is a made-up tree.
    pub made_up: bool,
    /// How the function is selected.
    pub selector: Selector,
    /// What is done with it.
    pub way: Way,
    /// How many are taken.
    pub taken: usize,
}

/// What a guest is asked.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Names it, its log and its image.
    pub name: &'static str,
    /// The pairs, in order.
    pub pairs: Vec<Pair>,
}

/// What is looked at in each test run with `--all`.
#[must_use]
pub fn short() -> Vec<Guest> {
    vec![real(
        64,
        &[(Way::Bind, &[ADDRESS, ID]), (Way::Plan, &[ADDRESS, ID])],
        &[],
    )]
}

/// Everything.
#[must_use]
pub fn full() -> Vec<Guest> {
    vec![
        made_up(16384, &MOST),
        real(
            64,
            &[
                (Way::Idle, &[NOTHING]),
                (Way::Bind, &ALL),
                (Way::Bind, &[DRIVERCTL]),
                (Way::Plan, &ALL),
            ],
            &[1, 8, 57],
        ),
        made_up(1024, &MOST),
    ]
}

fn real(functions: usize, ways: &[(Way, &[Selector])], boots: &[usize]) -> Guest {
    let pair = |way, selector: &Selector, taken| Pair {
        functions,
        made_up: false,
        selector: *selector,
        way,
        taken,
    };
    let mut pairs: Vec<_> = boots
        .iter()
        .map(|taken| pair(Way::Load, &ADDRESS, *taken))
        .collect();
    for (way, selectors) in ways {
        pairs.extend(selectors.iter().map(|selector| pair(*way, selector, 1)));
    }
    Guest {
        name: "bench-64",
        pairs,
    }
}

fn made_up(functions: usize, selectors: &[Selector]) -> Guest {
    let pair = |selector: &Selector| Pair {
        functions,
        made_up: true,
        selector: *selector,
        way: Way::Plan,
        taken: 1,
    };
    Guest {
        name: if functions == 1024 {
            "bench-tree-1024"
        } else {
            "bench-tree-16384"
        },
        pairs: selectors.iter().map(pair).collect(),
    }
}

impl Guest {
    /// Whether its functions are files.
    #[must_use]
    pub fn made_up(&self) -> bool {
        self.pairs.iter().any(|pair| pair.made_up)
    }

    /// Whether driverctl is measured in it.
    #[must_use]
    pub fn has_driverctl(&self) -> bool {
        self.pairs
            .iter()
            .any(|pair| pair.selector.peer == Peer::Driverctl)
    }

    /// How many functions it has.
    #[must_use]
    pub fn functions(&self) -> usize {
        self.pairs
            .iter()
            .map(|pair| pair.functions)
            .max()
            .unwrap_or(0)
    }
}

impl Pair {
    /// Names it in the file of limits.
    #[must_use]
    pub fn name(&self) -> String {
        let Self {
            functions,
            selector,
            taken,
            ..
        } = self;
        let kind = if self.made_up { "made up" } else { "real" };
        match self.way {
            Way::Idle => format!("nothing asked, {functions} {kind}"),
            Way::Bind => format!("bind by {}, {functions} {kind}", selector.name),
            Way::Plan => format!("plan by {}, {functions} {kind}", selector.name),
            Way::Load => format!("boot with {taken}, {functions} {kind}"),
        }
    }

    /// Names what is beside the agent.
    #[must_use]
    pub fn peer(&self) -> &'static str {
        match self.selector.peer {
            Peer::Hook(_) => "the hook",
            Peer::Driverctl => "driverctl",
            Peer::Shell => "the shell",
        }
    }

    /// The two orders: the agent's, and that of what is beside it.
    #[must_use]
    pub fn orders(&self) -> [Order; 2] {
        let (card, path) = match self.made_up {
            true => tree::card(self.functions),
            false => (CARD.to_owned(), CARD_PATH.to_owned()),
        };
        let mut addresses = vec![card.clone()];
        addresses.extend(machine::first_virtual_functions(self.taken - 1));
        let (value, words) = match self.selector.name {
            "path" => (path, addresses.clone()),
            "ID" => ("8086:10d3".to_owned(), vec!["0x8086:0x10d3".to_owned()]),
            "class" => ("class:0200".to_owned(), vec!["0x0200".to_owned()]),
            _ => (addresses.join(","), addresses.clone()),
        };
        let line = match self.way {
            Way::Idle => "intel_iommu=on quiet".to_owned(),
            _ => format!("intel_iommu=on vfio.bind={value}"),
        };
        let (taken, overridden) = match (self.way, self.made_up) {
            (Way::Idle, _) => (Vec::new(), Vec::new()),
            (_, true) => (Vec::new(), addresses),
            (_, false) => (addresses, Vec::new()),
        };
        let peer = Order {
            label: format!("{}: {}", self.name(), self.peer()),
            command: self.peer_command(words),
            taken,
            overridden,
            unload: self.modules(),
            times: self.times(),
            ..Order::default()
        };
        let mut agent = Order {
            label: format!("{}: agent", self.name()),
            command: vec![AGENT.to_owned()],
            cmdline: Some(line.clone()),
            ..peer.clone()
        };
        if self.way == Way::Plan {
            let root = if self.made_up { TREE } else { "/" };
            let arguments = ["plan", "--cmdline", &line, "--root", root].map(str::to_owned);
            agent.command.extend(arguments);
            (agent.cmdline, agent.says) = (None, vec![card, ONE.to_owned()]);
            (agent.taken, agent.overridden) = (Vec::new(), Vec::new());
        }
        [agent, peer]
    }

    /// What is run beside the agent, with words on what it is to find.
    fn peer_command(&self, words: Vec<String>) -> Vec<String> {
        let root = if self.made_up { TREE } else { "" };
        let script = match (self.selector.peer, self.way) {
            (Peer::Shell, _) => return [SHELL, "-c", ":"].map(str::to_owned).to_vec(),
            (Peer::Driverctl, _) => {
                let mut command = vec![format!("/{DRIVERCTL_PROGRAM}"), "load-override".to_owned()];
                command.extend(words.iter().map(|address| format!("pci/{address}")));
                return command;
            }
            (Peer::Hook(_), Way::Load) => "boot",
            (Peer::Hook(script), _) => script,
        };
        let mut command = vec![
            SHELL.to_owned(),
            format!("/{HOOKS}/{script}"),
            format!("{root}/sys"),
        ];
        command.extend(words);
        command
    }

    fn times(&self) -> usize {
        let row = TIMES.iter().find(|(most, _)| self.functions <= *most);
        row.map_or(1, |(_, times)| *times)
    }

    fn modules(&self) -> Vec<String> {
        match self.way {
            Way::Load => MODULES.map(str::to_owned).to_vec(),
            _ => Vec::new(),
        }
    }
}
