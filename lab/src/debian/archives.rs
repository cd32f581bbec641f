//! Where Debian's packages are, by what the system's apt says.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The keys of all releases, where the package debian-archive-keyring is installed.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Asks apt which archives the system uses, a line each.
pub(super) const INDEX_TARGETS: [&str; 4] = [
    "indextargets",
    "--format",
    "$(ORIGIN)|$(RELEASE)|$(SITE)",
    "Created-By: Packages",
];

/// The addresses of the archives, and who vouches for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archives {
    /// The releases.
    pub main: String,
    /// Their security updates.
    pub security: Option<String>,
    /// The file with the keys that sign; without one, those of the system's apt.
    pub keyring: Option<PathBuf>,
    /// How long, in seconds, an archive may be silent.
    pub timeout: u64,
}

/// Long enough for a mirror that is busy, and short enough to wait for four times.
const TIMEOUT: u64 = 20;

/// One line of a list of sources, and the suite in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) suite: String,
    pub(super) line: String,
}

impl Archives {
    /// Reads the answer to [`INDEX_TARGETS`].
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut archives = Vec::new();
        for line in text.lines() {
            let mut fields = line.splitn(3, '|');
            let (origin, release, site) = (fields.next(), fields.next(), fields.next());
            // A machine that never ran `apt-get update` knows no origins: `$(ORIGIN)` stays.
            let debian = origin.is_some_and(|origin| origin == "Debian" || origin.starts_with('$'));
            if let (true, Some(release), Some(site)) = (debian, release, site) {
                archives.push((release.ends_with("-security"), site.to_owned()));
            }
        }
        let first = |security| {
            let found = archives.iter().find(|(is, _)| *is == security);
            found.map(|(_, site)| site.clone())
        };
        let main = first(false).context(
            "the system's apt names no archive of Debian, where the test kernels come from: name one \
             by --kernel PATH --modules DIR",
        )?;
        let keyring = Path::new(KEYRING);
        Ok(Self {
            main,
            security: first(true),
            keyring: keyring.exists().then(|| keyring.to_owned()),
            timeout: TIMEOUT,
        })
    }

    /// The sources of `release`, the one that it cannot do without first; those of `X-backports` and
    /// `X-proposed-updates` are of no use without `X`.
    pub(super) fn sources(&self, release: &str) -> Vec<Source> {
        let keyring = self.keyring.as_deref().map(Path::display);
        let options = keyring.map_or(String::new(), |path| format!("[signed-by={path}] "));
        let source = |site: &str, suite: &str| Source {
            suite: suite.to_owned(),
            line: format!("deb {options}{site} {suite} main\n"),
        };
        let additions = ["-backports", "-proposed-updates"];
        let base = additions.iter().find_map(|end| release.strip_suffix(end));
        let base_name = base.unwrap_or(release);
        let mut sources = vec![source(&self.main, base_name)];
        // The rolling release has its updates in itself.
        if let Some(site) = self.security.as_deref().filter(|_| base_name != "sid") {
            sources.push(source(site, &format!("{base_name}-security")));
        }
        sources.extend(base.map(|_| source(&self.main, release)));
        sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(archives: &Archives, release: &str) -> String {
        let sources = archives.sources(release).into_iter();
        sources.map(|source| source.line).collect()
    }

    #[test]
    fn mirror_and_security_archive_are_the_systems_own() {
        let text = "Google|stable|https://example.org/chrome\n\
                    Debian|bookworm|http://mirror.example/debian\n\
                    Debian|bookworm-updates|http://mirror.example/debian\n\
                    Debian|bookworm-security|http://security.example/debian-security\n";
        let archives = Archives {
            keyring: Some("/k.gpg".into()),
            ..Archives::parse(text).unwrap()
        };
        assert_eq!(
            lines(&archives, "trixie"),
            "deb [signed-by=/k.gpg] http://mirror.example/debian trixie main\n\
             deb [signed-by=/k.gpg] http://security.example/debian-security trixie-security main\n"
        );
        assert_eq!(
            lines(&archives, "sid"),
            "deb [signed-by=/k.gpg] http://mirror.example/debian sid main\n"
        );
    }

    #[test]
    fn a_machine_that_never_updated_still_names_its_mirror() {
        let archives = Archives {
            keyring: None,
            ..Archives::parse("$(ORIGIN)|bookworm|http://mirror.example/debian\n").unwrap()
        };
        let main = "deb http://mirror.example/debian bookworm main\n";
        assert_eq!(lines(&archives, "bookworm"), main);
        for more in ["bookworm-backports", "bookworm-proposed-updates"] {
            let expected = format!("{main}deb http://mirror.example/debian {more} main\n");
            assert_eq!(lines(&archives, more), expected);
        }
    }

    #[test]
    fn without_debian_the_way_out_is_named() {
        let error = Archives::parse("Ubuntu|noble|http://mirror.example/ubuntu\n").unwrap_err();
        assert!(error.to_string().contains("--kernel PATH"), "{error}");
    }
}
