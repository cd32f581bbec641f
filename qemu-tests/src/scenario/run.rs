//! One run of the agent in a scenario.

use crate::protocol::Place;
use crate::report::Fate;

/// One run of the agent, and what it must do.
#[derive(Clone, Debug)]
pub struct Run {
    /// Names it in records and failures.
    pub label: String,
    /// In place of the kernel's command line.
    pub cmdline: Option<String>,
    /// What is given to the agent.
    pub arguments: &'static [&'static str],
    /// Where it is started; as a hook is where absent.
    pub place: Option<Place>,
    /// Pieces of what it must print, each anywhere.
    pub prints: Vec<&'static str>,
    /// Slots that are switched before it, in order: on or off.
    pub switched: Vec<(&'static str, bool)>,
    /// The exit status.
    pub exit: i32,
    /// The record's `state`.
    pub state: &'static str,
    /// What becomes of each function in the record.
    pub outcomes: Vec<(&'static str, Fate)>,
    /// What the record says of the group of a function.
    pub viable: Vec<(&'static str, bool)>,
    /// What virtual functions are made of.
    pub makes: Option<&'static str>,
    /// Attributes that are set, with their values; all others are as they were.
    pub sets: Vec<(&'static str, &'static str, &'static str)>,
    /// The record's policy errors: a piece of each, in order.
    pub errors: Vec<&'static str>,
    /// The record's policy warnings: a piece of each, in order.
    pub warnings: Vec<&'static str>,
    /// Pieces of what the log must say, each anywhere in one line.
    pub says: Vec<&'static str>,
    /// The least and the most milliseconds that it may take.
    pub time: Option<(u64, u64)>,
    /// Whether anything may be written into sysfs.
    pub writes: bool,
    /// Whether a module is loaded although nothing is written.
    pub loads: bool,
    /// Whether it leaves a record, and words in the log.
    pub traces: bool,
    /// Whether it leaves a record where it leaves words in the log.
    pub records: bool,
}

impl Run {
    /// A run that finds nothing wrong.
    #[must_use]
    pub fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            cmdline: None,
            arguments: &[],
            place: None,
            prints: Vec::new(),
            switched: Vec::new(),
            exit: 0,
            state: "applied",
            outcomes: Vec::new(),
            viable: Vec::new(),
            makes: None,
            sets: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            says: Vec::new(),
            time: None,
            writes: true,
            loads: false,
            traces: true,
            records: true,
        }
    }

    /// With arguments.
    #[must_use]
    pub fn given(mut self, arguments: &'static [&'static str]) -> Self {
        self.arguments = arguments;
        self
    }

    /// Started in an odd place.
    #[must_use]
    pub fn from(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// With `piece` in what it prints.
    #[must_use]
    pub fn prints(mut self, piece: &'static str) -> Self {
        self.prints.push(piece);
        self
    }

    /// With no record, and nothing written: it says in the log, or in what it prints, why.
    #[must_use]
    pub fn recordless(mut self) -> Self {
        self.records = false;
        self.quiet()
    }

    /// With another command line than the kernel's.
    #[must_use]
    pub fn under(mut self, cmdline: impl Into<String>) -> Self {
        self.cmdline = Some(cmdline.into());
        self
    }

    /// After a slot was switched on or off.
    #[must_use]
    pub fn after_switching(mut self, slot: &'static str, on: bool) -> Self {
        self.switched.push((slot, on));
        self
    }

    /// The label of the snapshot that is made just before it, where something was done since the last
    /// one.
    #[must_use]
    pub fn before(&self) -> Option<String> {
        (!self.switched.is_empty()).then(|| format!("before {}", self.label))
    }

    /// With an end after `least` to `most` milliseconds.
    #[must_use]
    pub fn time(mut self, least: u64, most: u64) -> Self {
        self.time = Some((least, most));
        self
    }

    /// With an exit status other than 0.
    #[must_use]
    pub fn exit(mut self, status: i32) -> Self {
        self.exit = status;
        self
    }

    /// With a state other than `applied`, in none of which anything may be written.
    #[must_use]
    pub fn state(mut self, state: &'static str) -> Self {
        self.state = state;
        self.quiet()
    }

    /// With nothing written.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.writes = false;
        self
    }

    /// With vfio-pci loaded with an empty list of IDs, although nothing is written.
    #[must_use]
    pub fn empties(mut self) -> Self {
        self.loads = true;
        self.quiet().says("vfio-pci is loaded with an empty list")
    }

    /// With neither record nor log: nobody asked for anything.
    #[must_use]
    pub fn traceless(mut self) -> Self {
        self.traces = false;
        self.quiet()
    }

    /// With this outcome for these functions.
    #[must_use]
    pub fn outcome(mut self, outcome: Fate, addresses: &[&'static str]) -> Self {
        self.outcomes
            .extend(addresses.iter().map(|address| (*address, outcome)));
        self
    }

    /// With these functions on VFIO, in groups that VFIO calls viable.
    #[must_use]
    pub fn bound(mut self, addresses: &[&'static str]) -> Self {
        self.viable
            .extend(addresses.iter().map(|address| (*address, true)));
        self.outcome(Fate::Bound, addresses)
    }

    /// With these functions refused by policy.
    #[must_use]
    pub fn refused(self, addresses: &[&'static str]) -> Self {
        self.outcome(Fate::Refused, addresses)
    }

    /// With virtual functions made of this one.
    #[must_use]
    pub fn makes(mut self, pf: &'static str) -> Self {
        self.makes = Some(pf);
        self
    }

    /// With an attribute of a function that is so afterwards.
    #[must_use]
    pub fn sets(
        mut self,
        address: &'static str,
        attribute: &'static str,
        value: &'static str,
    ) -> Self {
        self.sets.push((address, attribute, value));
        self
    }

    /// With a group that VFIO calls not viable, by one of its functions.
    #[must_use]
    pub fn not_viable(mut self, address: &'static str) -> Self {
        self.viable.retain(|(other, _)| *other != address);
        self.viable.push((address, false));
        self
    }

    /// With a policy error that holds `piece`.
    #[must_use]
    pub fn error(mut self, piece: &'static str) -> Self {
        self.errors.push(piece);
        self
    }

    /// With a policy warning that holds `piece`.
    #[must_use]
    pub fn warning(mut self, piece: &'static str) -> Self {
        self.warnings.push(piece);
        self
    }

    /// With a log line that holds `piece`.
    #[must_use]
    pub fn says(mut self, piece: &'static str) -> Self {
        self.says.push(piece);
        self
    }
}
