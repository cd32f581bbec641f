//! The child's side.

use core::ffi::CStr;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, write};
use vfio_bind_agent::machine::SHOWN_MOST;

/// The room for a question: a path and the name of a device or a driver, which have 256 bytes together.
const ROOM: usize = 512;

/// Does what it is asked for until nobody asks any more, or wants to know the answer.
pub fn serve(questions: &OwnedFd, answers: &OwnedFd) {
    let mut question = [0; ROOM];
    let mut answer = [0; 1 + SHOWN_MOST];
    while let Ok(length @ 1..) = read(questions, &mut question) {
        let [raw, shown @ ..] = &mut answer;
        let done = obey(question.get(..length).unwrap_or_default(), shown);
        // Linux errno values are below 134.
        *raw = done.err().map_or(0, |errno| errno.raw_os_error() as u8);
        let answer = answer.get(..=done.unwrap_or(0)).unwrap_or_default();
        if write(answers, answer).is_err() {
            break;
        }
    }
}

/// Gives how much it read.
fn obey(question: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
    let path = CStr::from_bytes_until_nul(question).map_err(|_| Errno::INVAL)?;
    let data = question.get(path.count_bytes() + 1..).unwrap_or_default();
    let (flags, none) = (OFlags::CLOEXEC, Mode::empty());
    if data.is_empty() {
        return read(open(path, flags, none)?, buffer);
    }
    match write(open(path, flags | OFlags::WRONLY, none)?, data)? {
        written if written == data.len() => Ok(0),
        _ => Err(Errno::IO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::thread;

    use rustix::pipe::pipe;

    fn question(path: &Path, data: &[u8]) -> Vec<u8> {
        [path.as_os_str().as_bytes(), b"\0", data].concat()
    }

    #[test]
    fn each_question_has_its_answer_until_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let shown = file("shown", b"vfio-pci\n");
        let set = file("set", b"");
        let long = file("long", &[b'x'; SHOWN_MOST + 1]);
        let most = [&[0][..], &[b'x'; SHOWN_MOST]].concat();
        let absent = folder.path().join("absent");
        let errno = |errno: Errno| vec![errno.raw_os_error() as u8];

        let ((heard, questions), (answers, said)) = (pipe().unwrap(), pipe().unwrap());
        let server = thread::spawn(move || serve(&heard, &said));
        for (question, expected) in [
            (question(&shown, b""), b"\0vfio-pci\n".to_vec()),
            (question(&set, b""), vec![0]),
            (question(&set, b"pci-stub"), vec![0]),
            (question(&set, b""), b"\0pci-stub".to_vec()),
            (question(&long, b""), most),
            // What a longer answer left is not taken for a part of a shorter one.
            (question(&shown, b""), b"\0vfio-pci\n".to_vec()),
            (question(&absent, b""), errno(Errno::NOENT)),
            (question(&absent, b"x"), errno(Errno::NOENT)),
            (question(folder.path(), b"x"), errno(Errno::ISDIR)),
            (question(Path::new("/dev/full"), b"x"), errno(Errno::NOSPC)),
            (b"/no end".to_vec(), errno(Errno::INVAL)),
        ] {
            write(&questions, &question).unwrap();
            let mut answer = [0; ROOM];
            let length = read(&answers, &mut answer).unwrap();
            let question = String::from_utf8_lossy(&question);
            assert_eq!(answer[..length], expected, "{question:?}");
        }
        assert!(!absent.exists(), "nothing is created");
        drop(questions);
        server.join().unwrap();
    }

    #[test]
    fn it_ends_where_nobody_wants_the_answer() {
        let ((heard, questions), (answers, said)) = (pipe().unwrap(), pipe().unwrap());
        drop(answers);
        write(&questions, &question(Path::new("/"), b"")).unwrap();
        serve(&heard, &said);
    }
}
