//! The volume groups of LVM: which volumes belong together.

/// How long the identifier of a group is without its dashes.
const LENGTH: usize = 32;

/// The group of a device mapper volume, from its `dm/uuid`: `LVM-`, the group's identifier, the
/// volume's own, and for parts of volumes a suffix such as `-real` or `-cow`.
#[must_use]
pub fn of(uuid: &str) -> Option<&str> {
    uuid.trim_end().strip_prefix("LVM-")?.get(..LENGTH)
}

/// What `pvs` lists for a group: nodes, and `[unknown]` for what is missing.
pub fn members<'l>(listing: &'l str, group: &'l str) -> impl Iterator<Item = &'l str> {
    let fields = listing
        .lines()
        .filter_map(|line| line.trim().split_once('|'));
    fields
        .filter(move |(of, _)| of.chars().filter(|c| *c != '-').eq(group.chars()))
        .map(|(_, node)| node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_told_from_volumes_and_from_other_layers() {
        let group = "Eo2xSdBwuHb9EDLXq0qgMvHCDxN7ZmvJ";
        for (uuid, expected) in [
            (format!("LVM-{group}{group}\n"), Some(group)),
            (format!("LVM-{group}{group}-cow\n"), Some(group)),
            (format!("LVM-{}", &group[1..]), None),
            (format!("CRYPT-LUKS2-{group}-x"), None),
            (format!("LVM-{}é", &group[1..]), None),
            (String::new(), None),
        ] {
            assert_eq!(of(&uuid), expected, "{uuid}");
        }
    }
}
