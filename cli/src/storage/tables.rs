//! What a boot is told to want: fstab, crypttab, the command line, the settings of initramfs-tools.
//!
//! Not general readers: they take what names a device or a file, and what says that a boot does
//! without it.

use vfio_bind_agent::text::cmdline::parameters;

use super::mounts::{is_needed, unescape};

/// A line of `/etc/fstab` that a boot waits for, or fails without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Device, or what else is mounted.
    pub spec: String,
    /// Where, as it is written; `swap` for what is swapped to.
    pub point: String,
    /// The type of the file system.
    pub kind: String,
    /// The options.
    pub options: String,
}

/// Reads fstab(5).
pub fn fstab(text: &str) -> impl Iterator<Item = Entry> {
    lines(text).filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (spec, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let options = fields.next().unwrap_or_default();
        let has = |option| options.split(',').any(|o| o == option);
        let always = has("x-initrd.mount") || is_needed(&unescape(point));
        let without = has("noauto") || has("nofail");
        let copy = has("bind") || has("rbind");
        let wanted = !copy && (always || !without);
        wanted.then(|| Entry {
            spec: unescape(spec).to_string_lossy().into_owned(),
            point: if kind == "swap" { "swap" } else { point }.to_owned(),
            kind: kind.to_owned(),
            options: options.to_owned(),
        })
    })
}

/// Something that a table names: who wants it, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The parameter, or the name of the line.
    pub by: String,
    /// A device, or a file.
    pub what: String,
    /// Whether its absence is worth a word: a boot waits for it.
    pub waited_for: bool,
}

/// Reads crypttab(5): what is opened at boot, keys and headers of it included.
pub fn crypttab(text: &str) -> Vec<Wanted> {
    let opened = lines(text).filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (name, device) = (fields.next()?, fields.next()?);
        let (key, options) = (
            fields.next().unwrap_or("none"),
            fields.next().unwrap_or_default(),
        );
        let has = |option| options.split(',').any(|o| o == option);
        if has("noauto") || has("nofail") {
            return None;
        }
        let header = options
            .split(',')
            .find_map(|option| option.strip_prefix("header="));
        let key = Some(key).filter(|key| !["none", "-", ""].contains(key));
        let by = format!("crypttab {name}");
        let wanted = |what: &str, waited_for| Wanted {
            by: by.clone(),
            what: what.to_owned(),
            waited_for,
        };
        let mut all = vec![wanted(device, true)];
        for file in [key, header].into_iter().flatten() {
            // `FILE:DEVICE` lies on the device, `FILE` on the system itself.
            let what = file.split_once(':').filter(|(_, device)| is_device(device));
            all.push(wanted(what.map_or(file, |(_, device)| device), false));
        }
        Some(all)
    });
    opened.flatten().collect()
}

/// Reads the kernel command line, with the words of dracut, systemd and mkinitcpio.
#[must_use]
pub fn command_line(line: &str) -> Vec<Wanted> {
    let mut found = Vec::new();
    for parameter in parameters(line.trim_end().as_bytes()) {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let (name, Some(value)) = (text(parameter.name), parameter.value.map(text)) else {
            continue;
        };
        let mut take = |by: &str, what: &str, waited_for| {
            if is_device(what) {
                found.push(Wanted {
                    by: by.to_owned(),
                    what: what.to_owned(),
                    waited_for,
                });
            }
        };
        let after = |c| value.split_once(c).map_or("", |(_, rest)| rest);
        let before = |c| value.split(c).next().unwrap_or_default();
        match name.strip_prefix("rd.").unwrap_or(&name) {
            // What is mounted there is known better.
            "root" => take("/", &value, false),
            "mount.usr" => take("/usr", &value, true),
            "resume" => take("resume", &value, true),
            "luks.uuid" => {
                let uuid = value.strip_prefix("luks-").unwrap_or(&value);
                take(&name, &format!("UUID={uuid}"), true);
            }
            "luks.name" => take(&name, &format!("UUID={}", before('=')), true),
            "luks.data" => take(&name, after('='), true),
            "luks.key" => value.split(':').for_each(|part| take(&name, part, true)),
            "luks.options" => {
                let header = value.split_once("header=").map_or("", |(_, rest)| rest);
                let header = header.split(',').next().unwrap_or_default();
                header.split(':').for_each(|part| take(&name, part, true));
            }
            "cryptdevice" | "cryptkey" => take(&name, before(':'), true),
            "systemd.verity_root_data" | "systemd.verity_root_hash" => take("/", &value, true),
            "systemd.verity_usr_data" | "systemd.verity_usr_hash" => take("/usr", &value, true),
            _ => {}
        }
    }
    found
}

/// What initramfs-tools resumes from, of one of its files: the last `RESUME=`.
#[must_use]
pub fn resume(text: &str) -> Option<String> {
    let values = lines(text).filter_map(|line| line.strip_prefix("RESUME="));
    values
        .last()
        .map(|value| value.trim_matches(['"', '\'']).to_owned())
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim_start);
    lines.filter(|line| !line.starts_with('#') && !line.is_empty())
}

/// The tags of devices, and where udev links to what has them.
const TAGS: [(&str, &str); 5] = [
    ("UUID=", "by-uuid"),
    ("PARTUUID=", "by-partuuid"),
    ("LABEL=", "by-label"),
    ("PARTLABEL=", "by-partlabel"),
    ("ID=", "by-id"),
];

/// Whether a text names a device.
#[must_use]
pub fn is_device(spec: &str) -> bool {
    spec.starts_with("/dev/") || TAGS.iter().any(|(tag, _)| spec.starts_with(tag))
}

/// The nodes that may stand for a device, the likeliest first: what stands behind a tag may be in
/// quotes, in capitals, or spelled as udev spells it.
#[must_use]
pub fn nodes(spec: &str) -> Vec<String> {
    let tag = TAGS
        .iter()
        .find_map(|(tag, directory)| Some((spec.strip_prefix(tag)?, directory)));
    let Some((value, directory)) = tag else {
        return vec![spec.to_owned()];
    };
    let value = value.trim_matches('"');
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"#+-.:=@_".contains(&byte) || byte >= 0x80;
    let spelled = value.bytes().fold(Vec::new(), |mut text, byte| {
        if plain(byte) {
            text.push(byte);
        } else {
            text.extend(format!("\\x{byte:02x}").bytes());
        }
        text
    });
    let spelled = String::from_utf8_lossy(&spelled).into_owned();
    let all = [value.to_owned(), spelled, value.to_ascii_lowercase()];
    let path = |name| format!("/dev/disk/{directory}/{name}");
    all.into_iter()
        .filter(|name| !name.contains('/'))
        .map(path)
        .collect()
}
