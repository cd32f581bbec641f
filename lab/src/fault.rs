//! What apt says when something does not come, and what that means.

/// One thing that did not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The package that did not come; none where it was a list of packages.
    pub package: Option<String>,
    /// How.
    pub kind: Kind,
    /// One short line.
    pub reason: String,
}

/// How something did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody answers.
    Unreachable,
    /// It is listed and not there.
    Missing,
    /// It is not what was promised: cut off, of another day, or somebody else's page.
    Unfit,
}

/// apt's last words, which follow from others.
const CONSEQUENCES: [&str; 3] = [
    "Some index files failed to download",
    "Unable to fetch some archives",
    "Failed to fetch some archives",
];
/// Parts of what apt says of a server that does not answer, or not to the end.
const UNREACHABLE: [&str; 14] = [
    "Could not connect",
    "Unable to connect",
    "Cannot initiate the connection",
    "Connection failed",
    "Connection timed out",
    "connection timed out",
    "Could not resolve",
    "Temporary failure resolving",
    "Error reading from server",
    "Something wicked happened resolving",
    "Connection refused",
    "Network is unreachable",
    "Connection reset",
    "Waiting for headers",
];
/// What is said of an answer that is no file of an archive at all.
const STRANGE: &str = "is a page of something else, as of a network that wants a login";
/// Parts of what it says of an answer that is not what was promised.
const UNFIT: [&str; 6] = [
    "unexpected size",
    "Hash Sum mismatch",
    "Clearsigned file isn't valid",
    "Mirror sync in progress",
    "is expired",
    "is not valid yet",
];

/// Everything that did not come, where that is all that went wrong: a full disk, a signature that
/// nobody knows or a package that no list names is another matter, and gives nothing.
#[must_use]
pub fn faults(said: &str) -> Option<Vec<Fault>> {
    let mut faults: Vec<Fault> = Vec::new();
    for line in said.lines() {
        // With lists that must be whole, what would be a warning is an error.
        let Some(words) = line.strip_prefix("E: ").or(line.strip_prefix("W: ")) else {
            continue;
        };
        if CONSEQUENCES.iter().any(|start| words.starts_with(start)) {
            continue;
        }
        // Where somebody else's page came in place of the signed file; else it is another matter.
        let unsigned = words.contains("is not signed") || words.contains("is no longer signed");
        if unsigned && faults.iter().any(|fault| fault.reason.contains(STRANGE)) {
            continue;
        }
        match fault(words) {
            Some(fault) if !faults.contains(&fault) => faults.push(fault),
            Some(_) => {}
            None if line.starts_with("W: ") => {}
            None => return None,
        }
    }
    (!faults.is_empty()).then_some(faults)
}

fn fault(words: &str) -> Option<Fault> {
    if let Some(rest) = words.strip_prefix("Failed to fetch ") {
        let (url, answer) = rest.split_once(' ')?;
        let answer = answer.trim();
        let answer = answer.split(" [IP: ").next().unwrap_or(answer).trim();
        return fetched(url, answer);
    }
    // E: The repository 'http://HOST/debian trixie Release' does not have a Release file.
    if words.ends_with(" a Release file.") {
        let suite = words.split('\'').nth(1)?.split(' ').nth(1)?;
        return Some(Fault {
            package: None,
            kind: Kind::Missing,
            reason: format!("the archive has no {suite}"),
        });
    }
    let kind = kind_of(words)?;
    Some(Fault {
        package: None,
        kind,
        reason: words.trim().trim_end_matches('.').to_owned(),
    })
}

/// What it means that `url` gave this answer.
fn fetched(url: &str, answer: &str) -> Option<Fault> {
    let status = answer.split(' ').next().unwrap_or_default();
    let is_status = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    let kind = match status {
        "404" | "410" => Kind::Missing,
        _ if is_status => Kind::Unreachable,
        _ => kind_of(answer)?,
    };
    let package = package(url);
    let what = match &package {
        Some(package) => package.clone(),
        None => list(url),
    };
    let the = if package.is_some() { "" } else { "the " };
    let reason = match (kind, package.is_some()) {
        (Kind::Missing, true) => format!("the archive lists {what} and answers {status}"),
        (Kind::Missing, false) => format!("the archive's {what} is missing ({status})"),
        (Kind::Unfit, true) => format!("{what} of the archive does not fit its checksum"),
        (Kind::Unfit, false) if answer.contains("Clearsigned") => {
            format!("the archive's {what} {STRANGE}")
        }
        (Kind::Unfit, false) => format!("the archive's {what} does not fit its Release file"),
        (Kind::Unreachable, _) => {
            let answer = answer.split(". - ").next().unwrap_or(answer);
            format!("the archive cannot be reached for {the}{what}: {answer}")
        }
    };
    Some(Fault {
        package,
        kind,
        reason,
    })
}

fn kind_of(words: &str) -> Option<Kind> {
    let has = |pieces: &[&str]| pieces.iter().any(|piece| words.contains(piece));
    if has(&UNREACHABLE) {
        Some(Kind::Unreachable)
    } else if has(&UNFIT) {
        Some(Kind::Unfit)
    } else {
        None
    }
}

/// The package behind the address of its file: `NAME_VERSION_ARCHITECTURE.deb`.
fn package(url: &str) -> Option<String> {
    let file = url.rsplit('/').next()?;
    let name = file.strip_suffix(".deb")?.split('_').next()?;
    Some(name.replace("%2b", "+").replace("%2B", "+"))
}

/// What the address of a list leads to: `package list of trixie for s390x`.
fn list(url: &str) -> String {
    let suite = url.split("/dists/").nth(1).unwrap_or(url);
    let suite = suite.split('/').next().unwrap_or(suite);
    let architecture = url
        .split('/')
        .find_map(|piece| piece.strip_prefix("binary-"));
    match architecture {
        Some(architecture) => format!("package list of {suite} for {architecture}"),
        None => format!("Release file of {suite}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_not_coming_has_its_words() {
        const LAST: &str = "E: Some index files failed to download. They have been ignored, or old ones used instead.";
        for (said, package, kind, reason) in [
            (
                "E: Failed to fetch http://mirror.example/debian/pool/main/l/linux/linux-image-6.12.117%2bdeb13-s390x_6.12.117-1_s390x.deb  404  Not Found [IP: 192.0.2.1 80]",
                Some("linux-image-6.12.117+deb13-s390x"),
                Kind::Missing,
                "the archive lists linux-image-6.12.117+deb13-s390x and answers 404",
            ),
            (
                "E: Failed to fetch http://mirror.example/debian/dists/trixie-security/main/binary-s390x/Packages.xz  File has unexpected size (258728 != 273804). Mirror sync in progress? [IP: 192.0.2.1 80]\n   Hashes of expected file:\n    - Filesize:273804 [weak]",
                None,
                Kind::Unfit,
                "the archive's package list of trixie-security for s390x does not fit its Release file",
            ),
            (
                "E: Failed to fetch http://mirror.example/debian/dists/trixie/main/binary-s390x/Packages  404  Not Found [IP: 192.0.2.1 80]",
                None,
                Kind::Missing,
                "the archive's package list of trixie for s390x is missing (404)",
            ),
            (
                "E: Failed to fetch http://mirror.example/debian/dists/trixie/InRelease  Could not connect to 127.0.0.1:9 (127.0.0.1). - connect (111: Connection refused)",
                None,
                Kind::Unreachable,
                "the archive cannot be reached for the Release file of trixie: Could not connect to 127.0.0.1:9 (127.0.0.1)",
            ),
            (
                "E: Failed to fetch http://mirror.example/debian/dists/trixie/InRelease  Clearsigned file isn't valid, got 'NOSPLIT' (does the network require authentication?)\nE: The repository 'http://mirror.example/debian trixie InRelease' is not signed.",
                None,
                Kind::Unfit,
                "the archive's Release file of trixie is a page of something else, as of a network that wants a login",
            ),
            (
                "E: The repository 'http://mirror.example/debian moon Release' no longer has a Release file.",
                None,
                Kind::Missing,
                "the archive has no moon",
            ),
            (
                "E: Failed to fetch http://mirror.example/pool/k/kmod_34_amd64.deb  Hash Sum mismatch",
                Some("kmod"),
                Kind::Unfit,
                "kmod of the archive does not fit its checksum",
            ),
            (
                "E: Failed to fetch http://mirror.example/pool/k/kmod_34_amd64.deb  503  Service Unavailable",
                Some("kmod"),
                Kind::Unreachable,
                "the archive cannot be reached for kmod: 503  Service Unavailable",
            ),
            (
                "E: The repository 'http://mirror.example/debian moon Release' does not have a Release file.",
                None,
                Kind::Missing,
                "the archive has no moon",
            ),
            (
                "E: Release file for http://mirror.example/debian/dists/trixie/InRelease is expired (invalid since 2d 3h). Updates for this repository will not be applied.",
                None,
                Kind::Unfit,
                "Release file for http://mirror.example/debian/dists/trixie/InRelease is expired (invalid since 2d 3h). Updates for this repository will not be applied",
            ),
        ] {
            let expected = Fault {
                package: package.map(str::to_owned),
                kind,
                reason: reason.to_owned(),
            };
            let text = format!("Get:1 http://mirror.example\n{said}\n{LAST}\n");
            assert_eq!(faults(&text), Some(vec![expected]), "{said}");
        }
    }

    #[test]
    fn what_went_wrong_here_is_no_lack() {
        let missing = "E: Failed to fetch http://mirror.example/x_1_all.deb  404  Not Found\n";
        for said in [
            "",
            "Reading package lists...",
            "E: Unable to locate package moon",
            "E: Package 'moon' has no installation candidate",
            "E: You don't have enough free space in /var/cache/apt/archives/.",
            "E: Failed to fetch http://mirror.example/x_1_all.deb  write (28: No space left on device)",
            "E: The repository 'http://mirror.example trixie InRelease' is not signed.",
            "E: GPG error: http://mirror.example trixie InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 1",
            &format!("{missing}E: Write error - write (28: No space left on device)"),
        ] {
            assert_eq!(faults(said), None, "{said}");
        }
    }

    #[test]
    fn two_words_for_one_thing_are_one() {
        let line = "W: Failed to fetch http://mirror.example/x_1_all.deb  404  Not Found\n";
        assert_eq!(faults(&line.repeat(2)).unwrap().len(), 1);
    }
}
