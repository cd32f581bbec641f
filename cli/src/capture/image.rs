//! Kernels and images: in place of the next boot's an archive with what the commands read of it.

use std::path::{Path, PathBuf};

use super::files;
use super::taker::Taker;
use crate::image::archive::Contents;
use crate::image::{self, Image, Look};

/// What stands in place of the others. It is no archive: an empty one would be taken for an image without the agent
/// and its list.
const LEFT_OUT: &str = "left out of the capture\n";

/// Takes them; an image that could not be read is left out like the others.
pub(super) fn take(taker: &mut Taker<'_>) {
    if let Look::Read(image) = image::look(taker.root) {
        next_boot(taker, image);
    }
    for name in taker.names("boot") {
        let is_kernel = ["vmlinuz", "initrd", "initramfs"]
            .iter()
            .any(|front| name.starts_with(front));
        if is_kernel && taker.root.join("boot").join(&name).is_file() {
            taker.put_instead(format!("boot/{name}"), LEFT_OUT);
        }
    }
}

fn next_boot(taker: &mut Taker<'_>, Image { path, contents }: Image) {
    let files = contents.files.iter().map(|(path, text)| {
        let text = files::in_image(taker, path, &String::from_utf8_lossy(text));
        (path.clone(), text.into_bytes())
    });
    let contents = Contents {
        files: files.collect(),
        ..contents
    };
    if let Ok(bytes) = contents.to_archive() {
        let from = path.strip_prefix("/").unwrap_or(&path);
        let to = place(taker, from);
        taker.put_dated(to, from, bytes);
    }
}

/// Where it is put: a unified image has its archive where it would be without one.
fn place(taker: &mut Taker<'_>, from: &Path) -> PathBuf {
    let is_unified = from.extension().is_some_and(|kind| kind == "efi");
    let release = taker.read_text("proc/sys/kernel/osrelease");
    match release.filter(|_| is_unified) {
        Some(release) => Path::new("boot").join(format!("initrd.img-{}", release.trim())),
        None => from.to_owned(),
    }
}
