//! What is mounted and what is swapped to, as /proc tells it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_until};
use nom::character::complete::{char, u32 as decimal};
use nom::combinator::{opt, verify};
use nom::error::Error;
use nom::number::complete::u8 as any;
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

/// A file system that is mounted: a line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number among mounts; no two of a running system have the same.
    pub id: u32,
    /// The mount that it is mounted on.
    pub parent: u32,
    /// `major:minor` of the device; the major number is 0 for a file system without one of its own.
    pub device: String,
    /// Where it is mounted.
    pub point: PathBuf,
    /// The same as the kernel escapes it: without white space.
    pub shown: String,
    /// The type of the file system.
    pub kind: String,
    /// What was mounted: mostly a device's path.
    pub source: PathBuf,
    /// The file system's own options, still escaped.
    pub options: String,
}

/// Something that is swapped to: a line of `/proc/swaps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// A block device.
    Device(PathBuf),
    /// A file.
    File(PathBuf),
}

/// Reads `/proc/self/mountinfo`; a line that is none is left out.
#[must_use]
pub fn mounts(mountinfo: &str) -> Vec<Mount> {
    let lines = mountinfo.lines();
    lines.filter_map(|line| Some(mount(line).ok()?.1)).collect()
}

fn mount(line: &str) -> IResult<&str, Mount> {
    let mut head = (number, number, field, field, word);
    let (rest, (id, parent, device, _root, shown)) = head.parse(line)?;
    // Optional fields stand between the two halves, and escapes leave no lone dash elsewhere.
    let (rest, _) = (take_until(" - "), tag(" - ")).parse(rest)?;
    let options = opt(preceded(char(' '), word));
    let (rest, (kind, source, options)) = (field, word, options).parse(rest)?;
    let mount = Mount {
        id,
        parent,
        device: device.to_owned(),
        point: unescape(shown),
        shown: shown.to_owned(),
        kind: kind.to_owned(),
        source: unescape(source),
        options: options.unwrap_or_default().to_owned(),
    };
    Ok((rest, mount))
}

fn number(text: &str) -> IResult<&str, u32> {
    terminated(decimal, char(' ')).parse(text)
}

fn field(text: &str) -> IResult<&str, &str> {
    terminated(word, char(' ')).parse(text)
}

/// Up to a blank or the end. It may be empty: a mount's source is whatever was said.
fn word(text: &str) -> IResult<&str, &str> {
    take_till(|letter| letter == ' ').parse(text)
}

/// Reads `/proc/swaps`.
#[must_use]
pub fn swaps(text: &str) -> Vec<Swap> {
    let swap = |line: &str| {
        let mut fields = line.split_whitespace();
        let path = unescape(fields.next()?);
        match fields.next()? {
            "partition" => Some(Swap::Device(path)),
            "file" => Some(Swap::File(path)),
            _ => None,
        }
    };
    text.lines().filter_map(swap).collect()
}

/// Undoes the escapes of the kernel's `mangle_path`: a backslash and three octal digits.
#[must_use]
pub fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Ok((after, byte)) = alt((escape, any)).parse(rest) {
        bytes.push(byte);
        rest = after;
    }
    OsString::from_vec(bytes).into()
}

fn escape(text: &[u8]) -> IResult<&[u8], u8> {
    let digits = (octal(b'3'), octal(b'7'), octal(b'7'));
    let code = |(a, b, c)| a << 6 | b << 3 | c;
    preceded(tag("\\"), digits.map(code)).parse(text)
}

/// A digit up to `most`.
fn octal<'a>(most: u8) -> impl Parser<&'a [u8], Output = u8, Error = Error<&'a [u8]>> {
    verify(any, move |digit| (b'0'..=most).contains(digit)).map(|digit| digit - b'0')
}

/// A text in which the kernel left UTF-8 alone, undone as [`unescape`] does.
fn unescaped(text: &str) -> String {
    unescape(text).to_string_lossy().into_owned()
}

impl Mount {
    /// The value of the file system's own option `name`.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<String> {
        let mut options = self.options.split(',');
        let value = options.find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
        value.map(unescaped)
    }
}

/// The folders of a file system of layers, from its options.
#[must_use]
pub fn overlay_folders(options: &str) -> Vec<PathBuf> {
    let of = |option: &str| match option.split_once('=') {
        Some(("lowerdir", folders)) => split_folders(&unescaped(folders)),
        // Since 6.8, one folder each.
        Some(("lowerdir+" | "datadir+" | "upperdir", folder)) => vec![unescape(folder)],
        _ => Vec::new(),
    };
    options.split(',').flat_map(of).collect()
}

/// Splits at colons, except behind a backslash; what follows two colons is a layer as well.
fn split_folders(text: &str) -> Vec<PathBuf> {
    let mut folders = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' => folders.push(String::new()),
            '\\' => folders
                .last_mut()
                .into_iter()
                .for_each(|folder| folder.extend(characters.next())),
            other => folders
                .last_mut()
                .into_iter()
                .for_each(|folder| folder.push(other)),
        }
    }
    folders.retain(|folder| !folder.is_empty());
    folders.into_iter().map(PathBuf::from).collect()
}

/// Whether the system does not boot, or does not update its boot, without what is mounted here.
#[must_use]
pub fn is_needed(point: &Path) -> bool {
    let exact = ["/", "/usr"].iter().any(|p| point == Path::new(p));
    // Distributions mount ESPs as /boot, /boot/efi, /efi and /boot/efi2.
    exact
        || ["/boot", "/efi", "/esp"]
            .iter()
            .any(|p| point.starts_with(p))
}

/// The mounts that a boot needs, each by its place in `mounts`, by mount point. One that another
/// covers counts as well, unless it only stood for that one.
#[must_use]
pub fn needed(mounts: &[Mount]) -> Vec<usize> {
    let mut needed: Vec<_> = mounts
        .iter()
        .enumerate()
        .filter(|(_, mount)| is_needed(&mount.point))
        .filter(|(place, mount)| {
            let covered = mounts[place + 1..].iter().any(|m| m.point == mount.point);
            !(covered && mount.kind == "autofs")
        })
        .map(|(place, _)| place)
        .collect();
    needed.sort_by_key(|place| &mounts[*place].point);
    needed
}

/// The mount that holds a file, by its place in `mounts`: the path is gone through as the kernel does
/// it, so that what another mount covers is not taken for it.
#[must_use]
pub fn holding(mounts: &[Mount], file: &Path) -> Option<usize> {
    let on = |parent: &Mount, point: &Path| {
        let is_on = |mount: &Mount| mount.parent == parent.id && mount.id != parent.id;
        mounts
            .iter()
            .rposition(|mount| is_on(mount) && mount.point == point)
    };
    let known = |id: u32| mounts.iter().any(|mount| mount.id == id);
    let mut holder = mounts.iter().rposition(|mount| {
        mount.point == Path::new("/") && (mount.parent == mount.id || !known(mount.parent))
    });
    // A system's first mounts may be missing here, as in a captured list.
    if holder.is_none() {
        let holds = |mount: &Mount| file.starts_with(&mount.point);
        let all = mounts.iter().enumerate().filter(|(_, mount)| holds(mount));
        return all
            .max_by_key(|(_, mount)| mount.point.components().count())
            .map(|(place, _)| place);
    }
    let mut points: Vec<_> = file.ancestors().collect();
    points.reverse();
    if !file.is_absolute() {
        return None;
    }
    for point in points {
        // Each step goes to another mount, and none twice.
        for _ in 0..mounts.len() {
            match holder.and_then(|place| on(&mounts[place], point)) {
                Some(above) => holder = Some(above),
                None => break,
            }
        }
    }
    holder
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
22 1 0:21 / /proc rw - proc proc rw
23 1 0:20 / / rw - autofs systemd-1 rw
27 1 254:1 /@ / rw,relatime shared:1 master:2 - ext4 /dev/mapper/a\\040b rw,discard
28 27 8:1 / /boot/efi\\0402 rw shared:9 - vfat /dev/sda1 rw
29 27 8:2 / /bootx rw - vfat /dev/sda2 rw
30 27 8:3 / /usr rw - ext4 /dev/sda3
nonsense
";

    #[test]
    fn lines_are_read_with_their_escapes() {
        let mounts = mounts(TEXT);
        assert_eq!(mounts.len(), 6);
        let root = &mounts[2];
        assert_eq!(root.device, "254:1");
        assert_eq!(root.kind, "ext4");
        assert_eq!(root.source, Path::new("/dev/mapper/a b"));
        assert_eq!(root.options, "rw,discard");
        assert_eq!(mounts[3].point, Path::new("/boot/efi 2"));
        assert_eq!(mounts[3].shown, "/boot/efi\\0402");
        assert_eq!(unescape("a\\134\\999\\04"), Path::new("a\\\\999\\04"));
    }

    #[test]
    fn a_source_may_be_empty() {
        // What `mount("", "/x", "overlay", ...)` leaves in the table.
        let line = "40 27 0:40 / /x rw - overlay  rw,lowerdir=/a\\040b:/c\n";
        let [mount] = &mounts(line)[..] else {
            panic!("it is left out");
        };
        assert_eq!(mount.source, Path::new(""));
        assert_eq!(mount.options, "rw,lowerdir=/a\\040b:/c");
    }

    #[test]
    fn a_boot_needs_few_of_them() {
        let mounts = mounts(TEXT);
        // By mount point, and not the automount below the root.
        assert_eq!(needed(&mounts), [2, 3, 5]);
    }

    #[test]
    fn the_deepest_and_latest_mount_holds_a_file() {
        let mounts = mounts(TEXT);
        for (file, place) in [
            ("/swap", Some(2)),
            ("/usr/lib/x", Some(5)),
            ("/usrlocal", Some(2)),
            ("relative", None),
        ] {
            assert_eq!(holding(&mounts, Path::new(file)), place, "{file}");
        }
    }

    #[test]
    fn swaps_are_devices_and_files() {
        let text = "Filename\t\t\t\tType\t\tSize\n/dev/dm-1  partition\t1\n/a\\040b file 2\n";
        let expected = [Swap::Device("/dev/dm-1".into()), Swap::File("/a b".into())];
        assert_eq!(swaps(text), expected);
    }

    #[test]
    fn folders_of_layers() {
        for (options, folders) in [
            (
                "rw,lowerdir=/a:/b\\040c,upperdir=/d,workdir=/e",
                &["/a", "/b c", "/d"][..],
            ),
            ("ro,lowerdir+=/a,datadir+=/b:c", &["/a", "/b:c"]),
            (
                "rw,lowerdir=/a\\134:b::/c,upperdir=/d:e",
                &["/a:b", "/c", "/d:e"],
            ),
            ("rw,lowerdir=l/XY:l/Z", &["l/XY", "l/Z"]),
        ] {
            let expected: Vec<_> = folders.iter().map(PathBuf::from).collect();
            assert_eq!(overlay_folders(options), expected, "{options}");
        }
    }
}
