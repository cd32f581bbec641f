//! What is different on a machine since it was last as asked.

use serde::Serialize;

use super::last_good::{Known, Snapshot};

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What kind.
    pub kind: Kind,
    /// Vendor and device.
    pub id: String,
    /// Where it was.
    pub was: Option<String>,
    /// Where it is.
    pub is: Option<String>,
    /// Whether it was bound to a vfio driver.
    pub bound: bool,
    /// By what it was known again, where it has moved.
    pub by: Option<&'static str>,
    /// Words for the kernel command line that mean it where it is now.
    pub words: Option<String>,
}

/// What kind of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It has another address.
    Moved,
    /// It is there no more, or cannot be told from others of its kind.
    Gone,
    /// It was not there.
    New,
}

impl Change {
    /// A sentence.
    #[must_use]
    pub fn told(&self) -> String {
        let id = &self.id;
        let bound = if self.bound { ", which was bound," } else { "" };
        match (&self.was, &self.is) {
            (Some(was), Some(is)) => {
                let by = self.by.unwrap_or("its ID");
                format!("{was} ({id}){bound} is {is} now, known by {by}")
            }
            (Some(was), None) => format!("{was} ({id}){bound} is gone"),
            (None, Some(is)) => format!("{is} ({id}) is new"),
            (None, None) => format!("{id} is not where it was"),
        }
    }
}

/// Compares two. A path and a slot tell twins apart, and so count before an address, which another card may have
/// taken.
#[must_use]
pub fn between(before: &Snapshot, now: &Snapshot) -> Vec<Change> {
    let mut old: Vec<_> = before.functions.iter().collect();
    let mut new: Vec<_> = now.functions.iter().collect();
    let mut changes = Vec::new();
    let place = |one: &Known, other: &Known| one.address == other.address && one.id == other.id;
    drop_same(&mut old, &mut new, &|one, other| {
        place(one, other) && one.path == other.path
    });
    let function = |one: &Known| {
        one.address
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let by_path: Key = |one| one.path.as_ref();
    let by_slot: Key = |one| one.slot.as_ref();
    for (by, key) in [("its path", by_path), ("its slot", by_slot)] {
        pair(&mut old, &mut new, &mut changes, by, &|one, other| {
            one.id == other.id
                && function(one) == function(other)
                && key(one).is_some()
                && key(one) == key(other)
        });
    }
    drop_same(&mut old, &mut new, &place);
    let by = "its ID, which no other has";
    pair(&mut old, &mut new, &mut changes, by, &|one, other| {
        one.id == other.id && function(one) == function(other)
    });
    let gone = old.into_iter().map(|one| Change {
        kind: Kind::Gone,
        id: short(&one.id),
        was: Some(one.address.clone()),
        is: None,
        bound: one.bound.is_some(),
        by: None,
        words: None,
    });
    changes.extend(gone);
    let come = new.into_iter().map(|one| Change {
        kind: Kind::New,
        id: short(&one.id),
        was: None,
        is: Some(one.address.clone()),
        bound: false,
        by: None,
        words: None,
    });
    changes.extend(come);
    changes
}

/// What a function may be known by.
type Key = fn(&Known) -> Option<&String>;

/// Takes out what is where it was.
fn drop_same(old: &mut Vec<&Known>, new: &mut Vec<&Known>, same: &dyn Fn(&Known, &Known) -> bool) {
    let all = new.clone();
    new.retain(|other| !old.iter().any(|one| same(one, other)));
    old.retain(|one| !all.iter().any(|other| same(one, other)));
}

/// Takes out what is alike in exactly one way: twins that have both moved are not told apart.
fn pair(
    old: &mut Vec<&Known>,
    new: &mut Vec<&Known>,
    changes: &mut Vec<Change>,
    by: &'static str,
    alike: &dyn Fn(&Known, &Known) -> bool,
) {
    let mut pairs = Vec::new();
    for one in old.iter() {
        let mut found = new.iter().filter(|other| alike(one, other));
        if let (Some(other), None) = (found.next(), found.next())
            && old.iter().filter(|rival| alike(rival, other)).count() == 1
        {
            pairs.push((*one, *other));
        }
    }
    for (one, other) in pairs {
        old.retain(|known| known.address != one.address);
        new.retain(|known| known.address != other.address);
        if one.address == other.address {
            continue;
        }
        let id = short(&one.id);
        let words = one
            .bound
            .is_some()
            .then(|| format!("vfio.bind={}@{id}", other.address));
        changes.push(Change {
            kind: Kind::Moved,
            id,
            was: Some(one.address.clone()),
            is: Some(other.address.clone()),
            bound: one.bound.is_some(),
            by: Some(by),
            words,
        });
    }
}

/// Vendor and device of an ID.
fn short(id: &str) -> String {
    id.split(':').take(2).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(address: &str, id: &str, path: &str, bound: bool) -> Known {
        Known {
            address: address.to_owned(),
            path: Some(path.to_owned()).filter(|path| !path.is_empty()),
            slot: None,
            id: format!("{id}:0000:0000"),
            class: "030000".to_owned(),
            bound: bound.then(|| "vfio-pci".to_owned()),
        }
    }

    fn told(before: &[Known], now: &[Known]) -> Vec<String> {
        let of = |functions: &[Known]| Snapshot {
            functions: functions.to_vec(),
            ..Snapshot::default()
        };
        let changes = between(&of(before), &of(now));
        let words = |change: Change| {
            let words = change.words.clone().unwrap_or_default();
            format!("{} {words}", change.told()).trim_end().to_owned()
        };
        changes.into_iter().map(words).collect()
    }

    #[test]
    fn what_moved_is_known_again_and_twins_are_not_guessed() {
        let gpu = |address, path| known(address, "10de:2204", path, true);
        assert_eq!(
            told(&[gpu("0000:02:00.0", "a")], &[gpu("0000:02:00.0", "a")]),
            [""; 0]
        );
        assert_eq!(
            told(&[gpu("0000:02:00.0", "a")], &[gpu("0000:03:00.0", "a")]),
            [
                "0000:02:00.0 (10de:2204), which was bound, is 0000:03:00.0 now, known by its path \
              vfio.bind=0000:03:00.0@10de:2204"
            ]
        );
        assert_eq!(
            told(&[gpu("0000:02:00.0", "a")], &[gpu("0000:03:00.0", "b")]),
            [
                "0000:02:00.0 (10de:2204), which was bound, is 0000:03:00.0 now, known by its ID, which no other has \
              vfio.bind=0000:03:00.0@10de:2204"
            ]
        );
        let twins = [gpu("0000:02:00.0", "a"), gpu("0000:03:00.0", "b")];
        let moved = [gpu("0000:04:00.0", "c"), gpu("0000:05:00.0", "d")];
        assert_eq!(
            told(&twins, &moved),
            [
                "0000:02:00.0 (10de:2204), which was bound, is gone",
                "0000:03:00.0 (10de:2204), which was bound, is gone",
                "0000:04:00.0 (10de:2204) is new",
                "0000:05:00.0 (10de:2204) is new",
            ]
        );
        // Nor which of two it is that came back.
        assert_eq!(told(&twins, &[gpu("0000:04:00.0", "c")]).len(), 3);
        // By their paths they are.
        let shifted = [gpu("0000:03:00.0", "a"), gpu("0000:04:00.0", "b")];
        assert_eq!(
            told(&twins, &shifted).len(),
            2,
            "{:?}",
            told(&twins, &shifted)
        );
        let other = known("0000:02:00.0", "8086:1572", "a", false);
        assert_eq!(
            told(&[gpu("0000:02:00.0", "a")], &[other]),
            [
                "0000:02:00.0 (10de:2204), which was bound, is gone",
                "0000:02:00.0 (8086:1572) is new",
            ]
        );
    }
}
