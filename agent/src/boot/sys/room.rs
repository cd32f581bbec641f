//! The room for a run: its pages come when they are used, unlike those of a stack.

use vfio_bind_agent::policy::Policy;
use vfio_bind_agent::run::room::{Found, Room, Texts};
use vfio_bind_agent::text::cmdline::MAX_LEN;

/// All zeros, so that the file of the executable has none of it.
struct All {
    taken: bool,
    line: [u8; MAX_LEN],
    texts: Texts,
    policy: Policy<'static>,
    found: Found,
}

static mut ALL: All = All {
    taken: false,
    line: [0; MAX_LEN],
    texts: Texts::EMPTY,
    policy: Policy::EMPTY,
    found: Found::EMPTY,
};

/// The room for a run, and for the kernel command line that is to be read for it. A process has one, for
/// whoever asks first.
pub fn room() -> Option<(&'static mut [u8], Room<'static, 'static>)> {
    // SAFETY: the process has one thread, and nothing else names it. Of all who come here the first one goes
    // on with what is in it; the others look at `taken` only, which that one does not have.
    let taken = unsafe { core::mem::replace((&raw mut ALL.taken).as_mut()?, true) };
    if taken {
        return None;
    }
    // SAFETY: as above.
    let (line, texts, policy, found) = unsafe {
        (
            (&raw mut ALL.line).as_mut()?,
            (&raw mut ALL.texts).as_mut()?,
            (&raw mut ALL.policy).as_mut()?,
            (&raw mut ALL.found).as_mut()?,
        )
    };
    let room = Room {
        line: &[],
        texts,
        policy,
        found,
    };
    Some((line, room))
}
