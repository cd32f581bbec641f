//! The words behind `vfio.` and `rd.vfio.`: a row each.

use crate::policy::selector::Source;
use crate::text::cmdline::Parameter;

/// What a word is about.
#[derive(Clone, Copy)]
pub(super) enum Word {
    /// What names functions.
    List(Source),
    Group,
    Driver,
    OnFail,
    DryRun,
    Force,
    Set,
    Sriov,
    /// Of a list that `vfio-bind protected` made: what it left open, in words.
    Unprotected,
    Unknown,
}

/// What each begins with.
const PREFIX: &str = "vfio.";

/// All words, a row each.
const KNOWN: &[(&str, Word)] = &[
    ("vfio.bind", Word::List(Source::Bind)),
    ("vfio.group", Word::Group),
    ("vfio.driver", Word::Driver),
    ("vfio.onfail", Word::OnFail),
    ("vfio.dry_run", Word::DryRun),
    ("vfio.protect", Word::List(Source::Protect)),
    ("vfio.force", Word::Force),
    ("vfio.set", Word::Set),
    ("vfio.sriov", Word::Sriov),
    ("vfio.unprotected", Word::Unprotected),
];

/// The names of all words.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|(name, _)| *name)
}

/// Which word of ours a parameter is; `None` if it is somebody else's.
pub(super) fn own_word(parameter: &Parameter<'_>) -> Option<Word> {
    let in_initrd = parameter.strip("rd.vfio.");
    let word = in_initrd.or_else(|| parameter.strip(PREFIX))?;
    let word = Parameter {
        name: word,
        ..*parameter
    };
    let is_it = |name: &str| name.strip_prefix(PREFIX).is_some_and(|name| word.is(name));
    if let Some((_, word)) = KNOWN.iter().find(|(name, _)| is_it(name)) {
        return Some(*word);
    }
    // The one parameter of the kernel's own module vfio (drivers/vfio/container.c).
    let kernels = word.is("enable_unsafe_noiommu_mode") && in_initrd.is_none();
    (!kernels).then_some(Word::Unknown)
}
