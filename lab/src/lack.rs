//! What cannot be had from outside, as against what went wrong here.
//!
//! The difference decides what a run says: a row that lacks something was not run, and everything
//! else that goes wrong is a failure. So it is narrow: an archive that cannot be reached, or that
//! gives something else than it promised.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Result, anyhow};

/// Something that an archive does not give at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// Why, in one short line.
    pub reason: String,
    /// The file with all that was said.
    pub log: Option<PathBuf>,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for Unavailable {}

impl Unavailable {
    /// The lack behind an error, where that is why.
    #[must_use]
    pub fn behind(error: &anyhow::Error) -> Option<&Self> {
        error.chain().find_map(|cause| cause.downcast_ref())
    }
}

/// Why something is not there: for all who want it.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// It cannot be had.
    Unavailable(Unavailable),
    /// Something went wrong.
    Failed(String),
}

impl From<&anyhow::Error> for Trouble {
    fn from(error: &anyhow::Error) -> Self {
        match Unavailable::behind(error) {
            Some(lack) => Self::Unavailable(lack.clone()),
            None => Self::Failed(format!("{error:#}")),
        }
    }
}

impl From<Trouble> for anyhow::Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unavailable(lack) => lack.into(),
            Trouble::Failed(text) => anyhow!(text),
        }
    }
}

/// One value, made by who wants it first; the others wait for it.
type Cell<V> = Arc<OnceLock<Result<V, Trouble>>>;

/// Values that are made when they are first wanted, each once: a failure stays one as well.
#[derive(Debug)]
pub struct Memo<K, V>(Mutex<BTreeMap<K, Cell<V>>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord, V: Clone> Memo<K, V> {
    /// The value of `key`, made by `make` where nobody has.
    ///
    /// # Errors
    /// That of `make`, to everyone who asks.
    pub fn get(&self, key: K, make: impl FnOnce() -> Result<V>) -> Result<V> {
        let cell = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(key).or_default())
        };
        // The map is free meanwhile: who wants something else does not wait.
        let value = cell.get_or_init(|| make().map_err(|error| Trouble::from(&error)));
        value.clone().map_err(anyhow::Error::from)
    }

    /// What came of `key`, if its making has ended.
    pub fn peek(&self, key: &K) -> Option<Result<V, Trouble>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(key)?.get().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    fn lack() -> Unavailable {
        Unavailable {
            reason: "the archive answers 404".to_owned(),
            log: Some("x.log".into()),
        }
    }

    #[test]
    fn a_lack_is_found_behind_what_it_was_wanted_for() {
        let error = anyhow::Error::from(lack())
            .context("getting a kernel")
            .context("a row");
        assert_eq!(Unavailable::behind(&error), Some(&lack()));
        assert_eq!(Unavailable::behind(&anyhow!("a bad unpack")), None);
    }

    #[test]
    fn a_value_is_made_once_and_so_is_a_failure() {
        let memo = Memo::default();
        assert_eq!(memo.get("a", || Ok(1)).unwrap(), 1);
        assert_eq!(memo.get("a", || Ok(2)).unwrap(), 1);
        let none = || Err::<i32, _>(lack()).context("wanted");
        memo.get("b", none).unwrap_err();
        let again = memo.get("b", || Ok(3)).unwrap_err();
        assert_eq!(Unavailable::behind(&again), Some(&lack()));
        assert!(matches!(
            memo.peek(&"b"),
            Some(Err(Trouble::Unavailable(_)))
        ));
        assert!(memo.peek(&"c").is_none());
    }
}
