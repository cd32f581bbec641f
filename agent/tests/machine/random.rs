//! Random policies: what selectors name is chosen from the functions of the machine at hand, and most of
//! them from one IOMMU group, so that they have to do with one another.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::asked::{Effect, Item, KernelId, Policy, Target, Word};
use crate::oracle::{EMPTY_SLOT, Node};

/// How a selector comes from a function of the machine at hand.
#[derive(Clone, Debug)]
struct Pick {
    /// In the group of the function that all of the policy is about.
    near: bool,
    function: Index,
    kind: u8,
    form: u32,
    excludes: bool,
    /// Whether there is an `@ID`, and whose.
    id: u8,
    other: Index,
    /// Something that is not in this machine, it may be.
    moved: bool,
    /// Whether its virtual functions are meant, and which.
    virtuals: Option<Vec<(u16, u16)>>,
}

/// Some virtual functions, by ranges of their indexes, or all of them.
fn ranges() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let range = (0u16..5, 0u16..3).prop_map(|(first, more)| (first, first + more));
    prop::collection::vec(range, 0..3)
}

fn pick(excludes: f64) -> impl Strategy<Value = Pick> {
    let form = (prop::bool::weighted(0.7), any::<Index>(), 0u8..24, 0u32..16);
    let rest = (
        prop::bool::weighted(excludes),
        0u8..16,
        any::<Index>(),
        prop::bool::weighted(0.08),
        prop::option::weighted(0.15, ranges()),
    );
    (form, rest).prop_map(
        |((near, function, kind, form), (excludes, id, other, moved, virtuals))| Pick {
            near,
            function,
            kind,
            form,
            excludes,
            id,
            other,
            moved,
            virtuals,
        },
    )
}

impl Pick {
    fn item(&self, nodes: &[Node], group: &[usize]) -> Item {
        let at = if self.near {
            group[self.function.index(group.len())]
        } else {
            self.function.index(nodes.len())
        };
        let node = self.maker(nodes, &nodes[at]);
        let mut place = node.place;
        if self.moved {
            match self.form % 4 {
                0 => place.function ^= 7,
                1 => place.bus ^= 0x80,
                2 => place.domain ^= 1,
                // As one that vmd brings later.
                _ => place.domain ^= 0x1_0001,
            }
        }
        let name = |name: &Option<String>| match self.moved {
            true => Some(["nowhere", EMPTY_SLOT][self.form as usize % 2].to_owned()),
            false => name.clone(),
        };
        let named = match self.kind {
            0..3 => Some(Target::Device(place)),
            3..6 => node.path.as_deref().map(|path| {
                let (_, rest) = path.split_once(':').unwrap();
                Target::Path(match self.form % 4 {
                    _ if !self.moved => path.to_owned(),
                    0 | 1 => path.replace("/0", "/1"),
                    _ => format!("{:04x}:{rest}", place.domain),
                })
            }),
            6 => node
                .serial
                .map(|serial| Target::Serial(serial + u64::from(self.moved))),
            7 | 16 => name(&node.slot).map(Target::Slot),
            8 => name(&node.label).map(Target::Label),
            9 => name(&node.acpi).map(Target::Acpi),
            10..14 => Some(self.by_id(node)),
            14 | 15 => {
                let digits = [2, 4, 6][self.form as usize % 3];
                Some(Target::Class(node.class >> (24 - 4 * digits), digits))
            }
            _ => None,
        };
        let id = match self.id {
            0 => Some((
                nodes[self.other.index(nodes.len())].ids[0],
                nodes[self.other.index(nodes.len())].ids[1],
            )),
            1 => Some((0x1d0f, 0x8061)),
            2..5 => Some((node.ids[0], node.ids[1])),
            _ => None,
        };
        Item {
            excludes: self.excludes,
            target: named.unwrap_or(Target::Function(place)),
            virtuals: self.virtuals.clone(),
            id,
            short: self.form.is_multiple_of(2),
        }
    }

    /// What makes virtual functions, most of the time, where those are meant.
    fn maker<'n>(&self, nodes: &'n [Node], node: &'n Node) -> &'n Node {
        let pfs: Vec<_> = nodes.iter().filter(|node| node.makes > 0).collect();
        let own = pfs.iter().find(|pf| {
            node.made_by
                .as_ref()
                .is_some_and(|(by, _)| *by == pf.address)
        });
        match (&self.virtuals, own) {
            (Some(_), Some(pf)) => pf,
            (Some(_), None) if self.form > 3 && !pfs.is_empty() => {
                pfs[self.function.index(pfs.len())]
            }
            _ => node,
        }
    }

    fn by_id(&self, node: &Node) -> Target {
        let [vendor, device, subvendor, subdevice] = node.ids.map(Some);
        let device = device.map(|device| device ^ u32::from(self.moved));
        match self.form % 8 {
            0..3 => Target::Id([vendor, device, None, None], None),
            3 => Target::Id([vendor, None, None, None], None),
            4 => Target::Id([vendor, device, subvendor, subdevice], None),
            5 => Target::Id([vendor, None, subvendor, None], None),
            6 if self.form > 8 => Target::Id([None; 4], Some((node.class, 0xff_ffff))),
            6 => Target::Id([vendor, device, None, None], Some((node.class, 0xff_ffff))),
            _ => {
                let mask = if self.form < 8 { 0xff_ff00 } else { 0xff_0000 };
                Target::Id([None; 4], Some((node.class, mask)))
            }
        }
    }

    fn kernel_id(&self, nodes: &[Node], group: &[usize]) -> KernelId {
        match (
            self.by_id(&nodes[group[self.function.index(group.len())]]),
            self.form,
        ) {
            // A class without a mask filters nothing.
            (Target::Id(ids, Some((class, _))), 6) => (ids, Some((class ^ 0x1_0000, 0))),
            (Target::Id(ids, class), _) => (ids, class),
            _ => unreachable!(),
        }
    }
}

/// A word without its selectors.
#[derive(Clone, Debug)]
enum Draft {
    Bind(Vec<Pick>),
    Protect(Vec<Pick>),
    Ids(Vec<Pick>),
    Done(Word),
}

fn picks(excludes: f64) -> impl Strategy<Value = Vec<Pick>> {
    prop::collection::vec(pick(excludes), 1..4)
}

/// Mistakes, and what docs/policy.md says that follows.
const MISTAKES: [(&str, Effect); 13] = [
    ("vfio.bind=junk", Effect::Told),
    ("vfio.bind=vf:0000:01:00.0#x", Effect::Told),
    ("vfio.sriov=01:00.0:0", Effect::Told),
    ("vfio.onfail=give", Effect::Told),
    ("vfio.frob=1", Effect::Told),
    ("vfio.force=maybe", Effect::Told),
    ("vfio_bind=01:00.0", Effect::Told),
    ("vfio.bind=!junk", Effect::BindsNothing),
    ("vfio.bind=!vf:0000:01:00.0#0,x", Effect::BindsNothing),
    ("vfio.bind=!0:1f", Effect::BindsNothing),
    ("vfio.protect=01:00.9", Effect::BindsNothing),
    ("vfio.driver=", Effect::BindsNothing),
    ("vfio_bind=!01:00.0", Effect::BindsNothing),
];

fn draft() -> impl Strategy<Value = Draft> {
    let groups = ["endpoints", "strict", "listed", "listed", "most"].map(Word::Group);
    let rare = [
        Word::Off,
        Word::Unprotected("/srv: a network"),
        Word::Other("elfcorehdr=0x1"),
    ];
    let idle = [
        "quiet",
        "vfio.driver=auto",
        "vfio.onfail=hold",
        "rd.vfio.dry-run",
        "vfio.dry-run",
        "vfio.driver=pci-stub",
    ];
    let one_of = |words: &[Word]| select(words.to_vec()).prop_map(Draft::Done);
    prop_oneof![
        50 => picks(0.1).prop_map(Draft::Bind),
        8 => picks(0.).prop_map(Draft::Protect),
        10 => picks(0.).prop_map(Draft::Ids),
        12 => one_of(&groups),
        5 => one_of(&[true, true, false].map(Word::Force)),
        3 => one_of(&MISTAKES.map(|(text, effect)| Word::Mistake(text, effect))),
        1 => one_of(&rare),
        3 => one_of(&idle.map(Word::Other)),
    ]
}

fn words(most: usize) -> impl Strategy<Value = Vec<Draft>> {
    prop::collection::vec(draft(), 0..=most)
}

/// A policy for any machine: its numbers choose from the functions that are there.
#[derive(Clone, Debug)]
pub struct Drafted {
    focus: Index,
    line: Vec<Draft>,
    file: Vec<Draft>,
    recorded: Option<Vec<Pick>>,
    unprotected: bool,
    modprobe: Option<Vec<Pick>>,
    modules: Option<Vec<Pick>>,
}

pub fn drafted() -> impl Strategy<Value = Drafted> {
    let maybe = |likely| prop::option::weighted(likely, picks(0.));
    let sources = (
        maybe(0.7),
        prop::bool::weighted(0.05),
        maybe(0.06),
        maybe(0.06),
    );
    (
        any::<Index>(),
        words(5),
        words(2),
        prop::bool::weighted(0.3),
        sources,
    )
        .prop_map(
            |(focus, line, file, has_file, (recorded, unprotected, modprobe, modules))| Drafted {
                focus,
                line,
                file: if has_file { file } else { Vec::new() },
                recorded,
                unprotected,
                modprobe,
                modules,
            },
        )
}

impl Drafted {
    /// For the functions of a machine.
    pub fn policy(&self, nodes: &[Node]) -> Policy {
        let focus = self.focus.index(nodes.len());
        let shares = |other: &usize| {
            *other == focus
                || (nodes[focus].group.is_some() && nodes[*other].group == nodes[focus].group)
        };
        let group: Vec<_> = (0..nodes.len()).filter(shares).collect();
        let items = |picks: &[Pick]| {
            picks
                .iter()
                .map(|pick| pick.item(nodes, &group))
                .collect::<Vec<_>>()
        };
        let ids = |picks: &Vec<Pick>| {
            picks
                .iter()
                .map(|pick| pick.kernel_id(nodes, &group))
                .collect::<Vec<_>>()
        };
        let words = |drafts: &[Draft]| {
            let word = |draft: &Draft| match draft {
                Draft::Bind(picks) => Word::Bind(items(picks)),
                Draft::Protect(picks) => Word::Protect(items(picks)),
                Draft::Ids(picks) => Word::Ids(ids(picks)),
                Draft::Done(word) => word.clone(),
            };
            drafts.iter().map(word).collect::<Vec<_>>()
        };
        // What a build records is elsewhere, most of the time.
        let recorded = self.recorded.as_ref().map(|picks| {
            let away = picks.iter().filter(|pick| pick.form > 11 || pick.moved);
            let mut recorded: Vec<_> = away
                .map(|pick| Word::Protect(vec![pick.item(nodes, &group)]))
                .collect();
            recorded.extend(
                self.unprotected
                    .then_some(Word::Unprotected("/srv: a network")),
            );
            recorded
        });
        Policy {
            line: words(&self.line),
            file: words(&self.file),
            recorded,
            modprobe: self.modprobe.as_ref().map(ids),
            modules: self.modules.as_ref().map(ids),
        }
    }
}
