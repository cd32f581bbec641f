//! The texts that a policy is read from, and what of them counts.

use crate::machine::iommu;
use crate::policy::handed::{self, Handed};
use crate::policy::modprobe_conf::ModprobeConf;
use crate::policy::problem::{Place, Problem};
use crate::policy::selector::Source;
use crate::policy::vocabulary::{Word, own_word};
use crate::policy::{Policy, VFIO_PCI, kernel_ids, lookalike};
use crate::text::cmdline::{Parameter, line_of_file, parameters};
use crate::text::misread::split;
use crate::text::name;

/// The texts that a policy is read from, in their order: what comes later replaces or adds.
#[derive(Clone, Copy, Default)]
pub struct Sources<'a> {
    /// What modprobe.d says of vfio-pci.
    pub modprobe: Option<&'a ModprobeConf>,
    /// The list of modules in an image of initramfs-tools.
    pub modules: &'a [u8],
    /// What was recorded when the image was built; `None` where nothing was, which is less than an
    /// empty list.
    pub protected: Option<&'a [u8]>,
    /// The policy file of the image.
    pub file: &'a [u8],
    /// The kernel command line.
    pub line: &'a [u8],
}

/// The last `ids=` of a source, if there is one, and its value.
type Ids<'a> = Option<Option<&'a [u8]>>;

/// What was seen of a source so far.
#[derive(Default)]
struct Seen<'a> {
    place: Place,
    ids: Ids<'a>,
    /// What the list in front of the next word is for.
    list: Option<Source>,
}

impl<'a> Policy<'a> {
    /// Reads the policy.
    #[must_use]
    pub fn read(sources: &Sources<'a>) -> Self {
        let mut policy = Self::EMPTY;
        policy.fill(sources);
        policy
    }

    /// Reads the policy into an [empty](Policy::EMPTY) one.
    pub fn fill(&mut self, sources: &Sources<'a>) {
        (self.auto, self.driver) = (true, name(VFIO_PCI.as_bytes()));
        self.listed = sources.protected.is_some();
        self.igfx_off = iommu::intel_iommu(sources.line, b"igfx_off");
        let options = sources.modprobe.map_or(&[][..], |conf| &conf.options);
        let modules = handed::line_of_modules(sources.modules);
        // What these say is replaced without a word: that is what their reader expects.
        let by_modprobe = self.options(options, Place::Modprobe);
        let by_modules = self.options(modules, Place::Modules);
        let mut file = Seen::default();
        self.file(sources.protected.unwrap_or_default(), &mut file);
        for selector in &mut self.selectors {
            if selector.source == Source::Protect {
                selector.source = Source::Recorded;
            }
        }
        self.file(sources.file, &mut file);
        let mut line = Seen::default();
        for parameter in parameters(sources.line) {
            self.heard |= parameter.strip("vfio.").is_some() && !parameter.after_dashes;
            if !self.take(parameter, &mut line)
                && !parameter.after_dashes
                && lookalike::meant(parameter.name).is_some()
            {
                self.unknown(parameter);
            }
        }
        let ids = line.ids.or(file.ids).or(by_modules).or(by_modprobe);
        if let Some(value) = ids.flatten() {
            self.kernel_ids(value);
        }
        let cut = sources.modprobe.is_some_and(|conf| conf.cut);
        self.handed = Handed::read(options, modules, sources.line, cut);
        if let Some(conf) = sources.modprobe {
            self.modprobe(conf);
        }
    }

    /// Takes in a file of ours, line by line.
    fn file(&mut self, text: &'a [u8], seen: &mut Seen<'a>) {
        for line in split(text, b'\n') {
            for parameter in line_of_file(line) {
                // Whatever stands there was meant for us.
                seen.list = seen.list.or(Some(Source::Bind));
                if !self.take(parameter, seen) {
                    self.unknown(parameter);
                }
            }
        }
    }

    /// Takes in what modprobe.d says besides the options.
    fn modprobe(&mut self, conf: &'a ModprobeConf) {
        self.install = conf.install.first();
        if let Some(line) = conf.ignored.first() {
            self.problem(Problem::IgnoredLine(line));
        }
        // Where vfio-pci is not wanted, it does not matter how it would be loaded.
        if !self.selects() {
            return;
        }
        if let Some(line) = self.install {
            self.problem(Problem::InstallLine(line));
        }
        if conf.cut {
            self.problem(Problem::ModprobeTooLong);
        }
    }

    /// Takes in the parameters of vfio-pci from one place; its last `ids=`.
    fn options(&mut self, text: &'a [u8], place: Place) -> Ids<'a> {
        let mut seen = Seen {
            place,
            ..Seen::default()
        };
        for parameter in parameters(text) {
            self.take(parameter, &mut seen);
        }
        seen.ids
    }

    /// Takes in one `ids=`.
    fn ids(&mut self, parameter: Parameter<'a>, seen: &mut Seen<'a>) {
        let (value, place) = (parameter.value, seen.place);
        // vfio-pci does not load with either, although another one comes later.
        match value.map(<[u8]>::len) {
            None => self.problem(Problem::IdsWithoutValue(place)),
            Some(length) if length >= kernel_ids::VALUE_LIMIT => {
                self.problem(Problem::IdsTooLong(place, length));
            }
            Some(_) => {}
        }
        if seen
            .ids
            .replace(value)
            .is_some_and(|earlier| earlier != value)
        {
            self.problem(Problem::IdsRepeated(place));
        }
        seen.list = Some(Source::KernelIds);
    }

    /// Whether a word is what a space tore off the list in front of it; if so, that is told.
    fn torn_off(&mut self, parameter: Parameter<'a>, seen: &mut Seen<'a>) -> bool {
        let torn = seen.list.zip(lookalike::torn_off(&parameter));
        if let Some((source, text)) = torn {
            let excludes = source.protects() || lookalike::excludes(text);
            self.problem(Problem::TornOff(source, text, excludes));
        } else {
            seen.list = None;
        }
        torn.is_some()
    }

    pub(crate) fn unknown(&mut self, parameter: Parameter<'a>) {
        let Parameter { name, value, .. } = parameter;
        let excludes = lookalike::meant(name) == Some(lookalike::PROTECT)
            || lookalike::excludes(value.unwrap_or_default());
        self.problem(Problem::UnknownName(name, excludes));
    }

    /// Takes in one parameter; false if it is somebody else's.
    fn take(&mut self, parameter: Parameter<'a>, seen: &mut Seen<'a>) -> bool {
        let (word, ids) = match seen.place {
            Place::Line => (own_word(&parameter), "vfio_pci.ids"),
            Place::Modprobe | Place::Modules => (None, "ids"),
        };
        let is_ids = parameter.is(ids);
        if parameter.after_dashes {
            if is_ids || word.is_some() {
                self.problem(Problem::AfterDashes(parameter.name));
            }
        } else if is_ids {
            self.ids(parameter, seen);
        } else if let Some(word) = word {
            self.word(parameter, word);
            seen.list = match word {
                Word::List(source) => Some(source),
                _ => None,
            };
        } else {
            return self.torn_off(parameter, seen);
        }
        is_ids || word.is_some()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::policy::GroupPolicy;
    use crate::policy::tests::{problems, selectors};
    use std::format;

    #[test]
    fn later_sources_add_selectors_and_replace_ids() {
        let mut modprobe = ModprobeConf::default();
        modprobe.options.extend_from_slice(b"ids=1:1 ").unwrap();
        let sources = Sources {
            modprobe: Some(&modprobe),
            modules: b"vfio\nvfio_pci ids=4:4\n",
            protected: Some(b"vfio.protect=00:1f.2@8086:2922 # /, sda\n"),
            file: b"# my cards\nvfio.bind=42:00.0 # the GPU\n\n  vfio.group=listed\nvfio_pci.ids=2:2\n",
            line: b"vfio.bind=43:00.0 vfio_pci.ids=3:3 vfio.group=strict quiet",
        };
        let policy = Policy::read(&sources);
        assert_eq!(
            selectors(&policy),
            ["!0000:00:1f.2", "0000:42:00.0", "0000:43:00.0", "0003:0003"]
        );
        assert_eq!(policy.group, GroupPolicy::Strict);
        assert!(problems(&policy).is_empty());

        let no_line = Sources {
            line: b"quiet",
            ..sources
        };
        assert_eq!(
            selectors(&Policy::read(&no_line)),
            ["!0000:00:1f.2", "0000:42:00.0", "0002:0002"]
        );
        let no_file = Sources {
            file: b"",
            ..no_line
        };
        assert_eq!(
            selectors(&Policy::read(&no_file)),
            ["!0000:00:1f.2", "0004:0004"]
        );
        let no_modules = Sources {
            modules: b"",
            ..no_file
        };
        assert_eq!(
            selectors(&Policy::read(&no_modules)),
            ["!0000:00:1f.2", "0001:0001"]
        );
        let nothing_asked = Sources {
            modprobe: None,
            ..no_modules
        };
        assert!(Policy::read(&nothing_asked).is_empty());
        let off = Sources {
            line: b"vfio.bind=off",
            ..sources
        };
        assert!(Policy::read(&off).off);
    }

    #[test]
    fn the_file_has_no_words_of_other_people() {
        let sources = Sources {
            file: b"bind=42:00.0\n#vfio.bind=1:2\n",
            ..Sources::default()
        };
        let policy = Policy::read(&sources);
        assert_eq!(
            problems(&policy),
            [
                "bind is no parameter of vfio-bind and is ignored; see vfio-bind-agent(8) for the list"
            ]
        );
    }

    #[test]
    fn what_stands_in_quotes_is_no_comment() {
        let sources = Sources {
            file: b"vfio.protect=\"label:Intel Ethernet i350 #1\" # the NIC #1\n",
            ..Sources::default()
        };
        let policy = Policy::read(&sources);
        assert_eq!(selectors(&policy), ["!label:Intel Ethernet i350 #1"]);
        assert!(problems(&policy).is_empty());
    }

    /// A file of ours, modprobe.d's options, a list of modules and a command line; what is said of them,
    /// and whether it forbids binding.
    type Effectless = ([&'static str; 4], &'static [&'static str], bool);

    const EFFECTLESS: &[Effectless] = &[
        (
            [
                "",
                "",
                "",
                "vfio-pci-ids=8086:9a49 vfio_bind=01:00.0 vfio-bind=01:00.0 VFIO.bind=1",
            ],
            &[
                "vfio-pci-ids is no parameter of vfio-bind and is ignored; write vfio_pci.ids=",
                "vfio_bind is no parameter of vfio-bind and is ignored; write vfio.bind=",
                "vfio-bind is no parameter of vfio-bind and is ignored; write vfio.bind=",
                "VFIO.bind is no parameter of vfio-bind and is ignored; write vfio.bind=",
            ],
            false,
        ),
        (
            ["vfio_protect=01:00.0", "", "", "vfio.bnid=42:00.0,!43:00.0"],
            &[
                "vfio_protect is no parameter of vfio-bind and is ignored; write vfio.protect=; what \
                 it excludes is unknown, so nothing is bound",
                "vfio.bnid is no parameter of vfio-bind and is ignored; see vfio-bind-agent(8) for the list; \
                 what it excludes is unknown, so nothing is bound",
            ],
            true,
        ),
        (
            ["", "", "", "vfio_pci.ids=01:00.0"],
            &[
                "vfio_pci.ids: `01:00.0`: the kernel reads an address as an ID; write it behind \
                 vfio.bind=",
            ],
            false,
        ),
        (
            ["", "ids=1:1 disable_vga=1 ids=1:1 ids=2:2", "", "quiet"],
            &["modprobe.d: ids of vfio-pci is given more than once; the kernel uses the last one"],
            false,
        ),
        (
            ["", "ids=1:1 ids", " ids", "vfio_pci.ids vfio_pci.ids=1:1"],
            &[
                "modprobe.d: ids of vfio-pci has no value; the kernel does not load vfio-pci with it; \
                 remove it",
                "modprobe.d: ids of vfio-pci is given more than once; the kernel uses the last one",
                "conf/modules: ids of vfio_pci has no value; the kernel does not load vfio-pci with \
                 it; remove it",
                "vfio_pci.ids has no value; the kernel does not load vfio-pci with it; remove it",
                "vfio_pci.ids is given more than once; the kernel uses the last one",
            ],
            false,
        ),
        (
            [
                "",
                "ids=10de:1b80, 10de:10f0 quiet 10de:10f1",
                " ids=1:1 2:2",
                "quiet",
            ],
            &[
                "`10de:10f0` stands alone and is ignored; write vfio_pci.ids= as one list without \
                 spaces",
                "`2:2` stands alone and is ignored; write vfio_pci.ids= as one list without spaces",
            ],
            false,
        ),
        (
            [
                "",
                "",
                "",
                "vfio.bind=42:00.0, 43:00.0 ,44:00.0 quiet 45:00.0 vfio.bind =46:00.0",
            ],
            &[
                "`43:00.0` stands alone and is ignored; write vfio.bind= as one list without spaces",
                "`,44:00.0` stands alone and is ignored; write vfio.bind= as one list without spaces",
                "vfio.bind names no function",
                "`=46:00.0` stands alone and is ignored; write vfio.bind= as one list without spaces",
            ],
            false,
        ),
        (
            ["", "", "", "vfio.bind=42:00.0, !banana"],
            &[
                "`!banana` stands alone and is ignored; write vfio.bind= as one list without spaces; \
                 what it excludes is unknown, so nothing is bound",
            ],
            true,
        ),
        (
            ["", "", "", "vfio.protect=42:00.0, 43:00.0"],
            &[
                "`43:00.0` stands alone and is ignored; write vfio.protect= as one list without \
                 spaces; what it excludes is unknown, so nothing is bound",
            ],
            true,
        ),
        (
            [
                "vfio.bind=42:00.0,\nvfio.group=listed\n!43:00.0\nbanana\n",
                "",
                "",
                "quiet",
            ],
            &[
                "`!43:00.0` stands alone and is ignored; write vfio.bind= as one list without spaces; \
                 what it excludes is unknown, so nothing is bound",
                "banana is no parameter of vfio-bind and is ignored; see vfio-bind-agent(8) for the list",
            ],
            true,
        ),
        (
            ["", "a -- ids=1:1", "", "quiet"],
            &[
                "ids stands behind `--`, where the kernel leaves all to init; it is ignored, put it \
                 in front",
            ],
            false,
        ),
        (
            [
                "",
                "disable_vga=1 # 1:1 is mine",
                " ids=1:1",
                "vfio_pci.ids=1:1 1.2.3.4::5 a:b c",
            ],
            &[],
            false,
        ),
    ];

    #[test]
    fn what_has_no_effect_is_told_once() {
        for (texts, expected, forbids) in EFFECTLESS {
            let [file, options, modules, line] = texts;
            let mut modprobe = ModprobeConf::default();
            modprobe
                .options
                .extend_from_slice(options.as_bytes())
                .unwrap();
            let modules = format!("vfio_pci{modules}");
            let policy = Policy::read(&Sources {
                modprobe: Some(&modprobe),
                modules: modules.as_bytes(),
                protected: None,
                file: file.as_bytes(),
                line: line.as_bytes(),
            });
            assert_eq!(&problems(&policy), expected, "{texts:?}");
            assert_eq!(policy.forbids_binding(), *forbids, "{texts:?}");
        }
    }
}
