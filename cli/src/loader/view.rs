//! The files of a machine under a root directory, as they are or as they will be.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Links that are followed, as the kernel does (MAXSYMLINKS of include/linux/namei.h).
const MOST_LINKS: usize = 40;

/// A root directory, with some files as they will be. Paths are relative to it, and a link in it leads nowhere
/// else.
#[derive(Clone, Debug)]
pub struct View<'r> {
    root: &'r Path,
    changed: BTreeMap<String, Option<Vec<u8>>>,
}

impl<'r> View<'r> {
    /// The files as they are.
    #[must_use]
    pub fn new(root: &'r Path) -> Self {
        Self {
            root,
            changed: BTreeMap::new(),
        }
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &'r Path {
        self.root
    }

    /// From here on the file at `path` (which no link leads to) is this, or is not there.
    pub fn put(&mut self, path: &str, content: Option<Vec<u8>>) {
        self.changed.insert(path.to_owned(), content);
    }

    /// The file that `path` leads to: the path itself where there are no links on the way.
    ///
    /// # Errors
    /// Where links go round in a circle, or one cannot be read.
    pub fn place(&self, path: &str) -> Result<String> {
        let mut left: Vec<PathBuf> = vec![PathBuf::from(path)];
        let mut place = PathBuf::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            let mut parts = part.components();
            let first = parts.next();
            let rest = parts.as_path();
            if !rest.as_os_str().is_empty() {
                left.push(rest.to_owned());
            }
            match first {
                None | Some(Component::CurDir | Component::Prefix(_)) => {}
                Some(Component::RootDir) => place = PathBuf::new(),
                Some(Component::ParentDir) => {
                    place.pop();
                }
                Some(Component::Normal(name)) => {
                    place.push(name);
                    let whole = self.root.join(&place);
                    let link = fs::symlink_metadata(&whole).is_ok_and(|data| data.is_symlink());
                    if link {
                        links += 1;
                        if links > MOST_LINKS {
                            bail!("open({path}): too many links");
                        }
                        let target = fs::read_link(&whole)
                            .with_context(|| format!("readlink({})", whole.display()))?;
                        place.pop();
                        left.push(target);
                    }
                }
            }
        }
        let place = place.to_str().context("a link has no name in UTF-8")?;
        Ok(place.to_owned())
    }

    /// A file, where it is there.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let place = self.place(path)?;
        if let Some(changed) = self.changed.get(&place) {
            return Ok(changed.clone());
        }
        let whole = self.root.join(place);
        match fs::read(&whole) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("read({})", whole.display())),
        }
    }

    /// A file as text, where it is there; what is no UTF-8 in it is made out as well as can be.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn text(&self, path: &str) -> Result<Option<String>> {
        let bytes = self.read(path)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Whether there is a file or directory.
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        let Ok(place) = self.place(path) else {
            return false;
        };
        match self.changed.get(&place) {
            Some(changed) => changed.is_some(),
            None => self.root.join(place).exists(),
        }
    }

    /// The first of these that is there.
    #[must_use]
    pub fn first<'p>(&self, paths: &[&'p str]) -> Option<&'p str> {
        paths.iter().find(|path| self.exists(path)).copied()
    }

    /// Whether a program of this name is there, where programs are.
    #[must_use]
    pub fn program(&self, name: &str) -> bool {
        let places = [
            "usr/sbin",
            "usr/bin",
            "sbin",
            "bin",
            "usr/local/sbin",
            "usr/local/bin",
        ];
        places
            .iter()
            .any(|place| self.exists(&format!("{place}/{name}")))
    }

    /// The text of a program, where it is there: scripts are read for what they can do.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn script(&self, name: &str) -> Result<Option<Vec<u8>>> {
        for place in ["usr/sbin", "usr/bin", "sbin", "bin"] {
            if let Some(text) = self.read(&format!("{place}/{name}"))? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// The names in a directory in the order of their bytes; none where it is not there.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    pub fn list(&self, path: &str) -> Result<Vec<String>> {
        let place = self.place(path)?;
        let whole = self.root.join(&place);
        let mut names = Vec::new();
        match fs::read_dir(&whole) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.with_context(|| format!("readdir({})", whole.display()))?;
                    names.extend(entry.file_name().into_string());
                }
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("opendir({})", whole.display()));
            }
        }
        for (changed, content) in &self.changed {
            let Some((directory, name)) = changed.rsplit_once('/') else {
                continue;
            };
            if directory == place {
                names.retain(|other| other != name);
                names.extend(content.is_some().then(|| name.to_owned()));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The files of a directory whose names end in `end`, each as a path.
    ///
    /// # Errors
    /// As those of [`View::list`].
    pub fn files(&self, directory: &str, end: &str) -> Result<Vec<String>> {
        let names = self.list(directory)?;
        let names = names.into_iter().filter(|name| name.ends_with(end));
        Ok(names.map(|name| format!("{directory}/{name}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_lead_nowhere_but_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/default")).unwrap();
        fs::create_dir_all(root.path().join("etc/sysconfig")).unwrap();
        fs::write(root.path().join("etc/default/grub"), "x").unwrap();
        let link = |target: &str, at: &str| symlink(target, root.path().join(at)).unwrap();
        link("/etc/default/grub", "etc/sysconfig/grub");
        link("../../../../etc/default/grub", "etc/up");
        link("round", "etc/round");
        link("sysconfig", "etc/folder");
        let view = View::new(root.path());
        for path in [
            "etc/sysconfig/grub",
            "etc/up",
            "etc/folder/grub",
            "etc/default/./grub",
        ] {
            assert_eq!(view.place(path).unwrap(), "etc/default/grub", "{path}");
        }
        assert!(view.place("etc/round").is_err());
        assert_eq!(view.place("etc/none/x").unwrap(), "etc/none/x");
    }

    #[test]
    fn what_will_be_counts() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("d")).unwrap();
        for name in ["a.cfg", "b.cfg", "c"] {
            fs::write(root.path().join("d").join(name), name).unwrap();
        }
        let mut view = View::new(root.path());
        view.put("d/a.cfg", None);
        view.put("d/z.cfg", Some(b"z".to_vec()));
        assert_eq!(view.files("d", ".cfg").unwrap(), ["d/b.cfg", "d/z.cfg"]);
        assert!(!view.exists("d/a.cfg"));
        assert_eq!(view.read("d/z.cfg").unwrap().unwrap(), b"z");
    }
}
