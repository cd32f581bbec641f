//! A system as its next boot will see it: with the policy and the protections of the image, where that could be
//! read.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use rustix::io::Errno;
use vfio_bind_agent::machine::Root;
use vfio_bind_agent::machine::tree::{POLICY, PROTECTED, Tree};

use crate::image::archive::{Contents, is_policy};
use crate::image::{self, Image, Look};
use crate::preview::known::{self, Known};
use crate::storage::protected::Scope;

/// What a boot goes by.
#[derive(Debug)]
pub struct Basis {
    /// The image, where it was read.
    pub image: Option<Image>,
    /// The list of what is protected and the policy that count.
    pub known: Known,
    /// Why the image was not read, where it was to be.
    pub unread: Option<String>,
    /// What in the image is not as the system would have it.
    pub stale: Vec<String>,
}

impl Basis {
    /// The policy and the protections of the image that will boot; those of the system where it cannot be read.
    ///
    /// # Errors
    /// Where a file of the system is there and cannot be read.
    pub fn of_image(root: &Path) -> Result<Self> {
        let unread = |why| {
            Ok(Self {
                unread: Some(why),
                ..Self::of_system(root)?
            })
        };
        match image::look(root) {
            Look::Absent(why) => unread(why),
            Look::Unread { path, error } => unread(format!("{}: {error:#}", path.display())),
            Look::Read(image) => {
                let text = |file: &str| image.contents.files.get(file);
                let list = text(PROTECTED).map_or(&[][..], Vec::as_slice);
                let known = Known {
                    protected: String::from_utf8_lossy(list).into_owned(),
                    policy: text(POLICY).cloned(),
                    told: Vec::new(),
                };
                let stale = stale(root, &image);
                Ok(Self {
                    image: Some(image),
                    known,
                    unread: None,
                    stale,
                })
            }
        }
    }

    /// Those of the system, which an image will have that is built now.
    ///
    /// # Errors
    /// Where a file is there and cannot be read.
    pub fn of_system(root: &Path) -> Result<Self> {
        let known = known::gather_or_less(root, Scope::Boot)?;
        Ok(Self {
            image: None,
            known,
            unread: None,
            stale: Vec::new(),
        })
    }
}

/// How an image that is there differs from one that would be built now.
fn stale(root: &Path, image: &Image) -> Vec<String> {
    let (path, rebuild) = (image.path.display(), image::rebuild(root));
    let mut told = Vec::new();
    if !image.contents.agent {
        told.push(format!(
            "{path}, the image that will boot, does not have the agent: nothing will be bound; install \
             vfio-bind's hook for it and build it anew{rebuild}"
        ));
        return told;
    }
    if let Ok(own) = known::read(&root.join(POLICY))
        && own.as_ref() != image.contents.files.get(POLICY)
    {
        told.push(format!(
            "/{POLICY} is not what {path} has of it, and the next boot goes by the image; build it anew{rebuild}"
        ));
    }
    let list = image
        .contents
        .files
        .get(PROTECTED)
        .map(|list| String::from_utf8_lossy(list));
    match (list, known::needed(root)) {
        (Some(list), Ok(needed)) => {
            let listed: BTreeSet<_> = list.lines().map(known::selector).collect();
            let mut lacking = needed.lines().filter(|line| !listed.contains(known::selector(line)));
            if let Some(line) = lacking.next() {
                told.push(format!(
                    "{path} does not protect all that the system boots from now: it lacks `{}`; build it anew{rebuild}",
                    line.trim()
                ));
            }
        }
        (None, _) => told.push(format!(
            "{path} has no list of what the system boots from: what stores is taken only where it is named \
             one by one; build it anew{rebuild}"
        )),
        // A captured tree is without mounts.
        (Some(_), Err(_)) => {}
    }
    told
}

/// A system with what a boot goes by.
pub struct NextBoot<'t> {
    /// All else.
    pub tree: &'t Tree,
    /// That.
    pub basis: &'t Basis,
}

impl NextBoot<'_> {
    /// What the image has of the policy at a path; `None` where the tree has the answer.
    fn contents(&self, path: &str) -> Option<&Contents> {
        let image = self.basis.image.as_ref()?;
        is_policy(path).then_some(&image.contents)
    }

    /// A file of the policy, or that there is none.
    fn text(&self, path: &str) -> Option<Result<&[u8], Errno>> {
        if let Some(contents) = self.contents(path) {
            return Some(
                contents
                    .files
                    .get(path)
                    .map(Vec::as_slice)
                    .ok_or(Errno::NOENT),
            );
        }
        match path {
            PROTECTED => Some(Ok(self.basis.known.protected.as_bytes())),
            POLICY => Some(self.basis.known.policy.as_deref().ok_or(Errno::NOENT)),
            _ => None,
        }
    }
}

impl Root for NextBoot<'_> {
    fn read_at<'b>(
        &self,
        path: &str,
        offset: u32,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        match self.text(path) {
            None => self.tree.read_at(path, offset, buffer),
            Some(text) => known::part(text?, offset, buffer),
        }
    }

    fn link<'b>(&self, path: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        self.tree.link(path, buffer)
    }

    fn exists(&self, path: &str) -> bool {
        self.text(path)
            .map_or_else(|| self.tree.exists(path), |text| text.is_ok())
    }

    fn list(&self, path: &str, each: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
        let Some(contents) = self.contents(path) else {
            return self.tree.list(path, each);
        };
        let inside = contents
            .files
            .keys()
            .filter_map(|file| file.strip_prefix(path)?.strip_prefix('/'));
        let mut some = false;
        for name in inside {
            some = true;
            each(name.as_bytes());
        }
        if some { Ok(()) } else { Err(Errno::NOENT) }
    }

    fn folders(&self, path: &str) -> Option<u32> {
        self.tree.folders(path)
    }
}
