//! A small signed archive, made anew, and a server of it that can be told to go wrong.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lab::cache::Cache;
use lab::debian::{Archives, Debian};
use lab::program;

/// What the server does with what it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Half of a file whose address has this in it.
    Truncated(&'static str),
    /// Something else than what is signed.
    OtherDay(&'static str),
    Missing(&'static str),
    /// No answer.
    Hangs(&'static str),
    /// A page that says to log in, for everything.
    Portal,
}

/// The archive, its key, and its server.
pub struct Repository {
    folder: tempfile::TempDir,
    fault: Arc<Mutex<Fault>>,
    asked: Arc<Mutex<Vec<String>>>,
    address: String,
}

impl Repository {
    /// With the packages `thing`, in two versions, and `rest`, for two architectures, in the suites
    /// `moon` and `mars`.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("archive");
        for suite in ["moon", "mars"] {
            for architecture in ["amd64", "s390x"] {
                let mut index = String::new();
                for (name, version) in [("thing", "1"), ("thing", "2"), ("rest", "1")] {
                    index += &package(folder.path(), &root, name, version, architecture);
                }
                let lists = root.join(format!("dists/{suite}/main/binary-{architecture}"));
                fs::create_dir_all(&lists).unwrap();
                fs::write(lists.join("Packages"), index).unwrap();
            }
        }
        let this = Self {
            folder,
            fault: Arc::new(Mutex::new(Fault::None)),
            asked: Arc::default(),
            address: String::new(),
        };
        this.make_key();
        for suite in ["moon", "mars"] {
            this.sign(suite, "Wed, 25 Nov 2026 02:22:31 UTC");
        }
        this.serve()
    }

    fn gpg(&self) -> Command {
        let mut gpg = Command::new("gpg");
        let home = self.folder.path().join("gpg");
        gpg.args(["--batch", "--yes", "--quiet", "--pinentry-mode", "loopback"]);
        gpg.args(["--passphrase", "", "--homedir"]).arg(home);
        gpg
    }

    fn make_key(&self) {
        use std::os::unix::fs::PermissionsExt;
        let home = self.folder.path().join("gpg");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        let mut generate = self.gpg();
        generate.args([
            "--quick-generate-key",
            "archive",
            "ed25519",
            "sign",
            "never",
        ]);
        program::output(&mut generate).unwrap();
        let keyring = self.keyring();
        program::output(self.gpg().arg("--output").arg(keyring).arg("--export")).unwrap();
    }

    /// Where it is served.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Who vouches for it.
    pub fn keyring(&self) -> PathBuf {
        self.folder.path().join("keyring.gpg")
    }

    fn suite(&self, suite: &str) -> PathBuf {
        self.folder.path().join("archive/dists").join(suite)
    }

    /// Signs the lists of a suite as they are now.
    pub fn sign(&self, suite: &str, date: &str) {
        let folder = self.suite(suite);
        let mut text = format!(
            "Origin: Test\nSuite: {suite}\nCodename: {suite}\nDate: {date}\nComponents: main\n\
             Architectures: amd64 s390x\nAcquire-By-Hash: yes\nSHA256:\n"
        );
        for architecture in ["amd64", "s390x"] {
            let name = format!("main/binary-{architecture}/Packages");
            let path = folder.join(&name);
            let (sum, size) = sum(&path);
            text += &format!(" {sum} {size} {name}\n");
            let by_hash = path.with_file_name("by-hash/SHA256");
            fs::create_dir_all(&by_hash).unwrap();
            fs::copy(&path, by_hash.join(&sum)).unwrap();
        }
        let release = folder.join("Release");
        fs::write(&release, text).unwrap();
        let mut sign = self.gpg();
        sign.arg("--output").arg(folder.join("InRelease"));
        program::output(sign.arg("--clearsign").arg(&release)).unwrap();
    }

    /// Serves it from a thread that lives as long as the process.
    fn serve(mut self) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        self.address = format!("http://{}", listener.local_addr().unwrap());
        let (root, fault) = (self.folder.path().join("archive"), Arc::clone(&self.fault));
        let asked = Arc::clone(&self.asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, fault, asked) = (root.clone(), Arc::clone(&fault), Arc::clone(&asked));
                thread::spawn(move || answer(stream, &root, &fault, &asked));
            }
        });
        self
    }

    /// Goes wrong from now on.
    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// How often something with `piece` in its address has been asked for.
    pub fn asked(&self, piece: &str) -> usize {
        let all = self.asked.lock().unwrap();
        all.iter().filter(|path| path.contains(piece)).count()
    }

    /// A client of it, as a new run would be, with its cache in `cache`.
    pub fn client(&self, cache: &Path) -> Debian {
        self.client_of(cache, &self.address)
    }

    /// A client that trusts its key, of another address.
    pub fn client_of(&self, cache: &Path, address: &str) -> Debian {
        let archives = Archives {
            main: address.to_owned(),
            security: None,
            keyring: Some(self.keyring()),
            timeout: 3,
        };
        Debian::at(archives, Cache::at(cache).unwrap())
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let mut end = Command::new("gpgconf");
        end.arg("--homedir").arg(self.folder.path().join("gpg"));
        let _ = program::output(end.args(["--kill", "gpg-agent"]));
    }
}

/// Makes a package with one file in it; gives its entry in the lists.
fn package(work: &Path, root: &Path, name: &str, version: &str, architecture: &str) -> String {
    let file = format!("pool/{name}_{version}_{architecture}.deb");
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: x <x@example.org>\n\
         Description: x\n"
    );
    let path = root.join(&file);
    if !path.exists() {
        let tree = work.join("tree");
        let _ = fs::remove_dir_all(&tree);
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(tree.join("DEBIAN/control"), &control).unwrap();
        fs::write(tree.join(name), format!("{name} {version}")).unwrap();
        let mut dpkg = Command::new("dpkg-deb");
        dpkg.args(["--root-owner-group", "--build"]);
        program::output(dpkg.arg(&tree).arg(&path)).unwrap();
    }
    let (sum, size) = sum(&path);
    format!("{control}Filename: {file}\nSize: {size}\nSHA256: {sum}\n\n")
}

/// Checksum and size of a file.
fn sum(path: &Path) -> (String, u64) {
    let text = program::output(Command::new("sha256sum").arg(path)).unwrap();
    let sum = text.split(' ').next().unwrap().to_owned();
    (sum, fs::metadata(path).unwrap().len())
}

/// Answers one connection.
fn answer(mut stream: TcpStream, root: &Path, fault: &Mutex<Fault>, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut path = None;
        for line in reader.by_ref().lines() {
            let Ok(line) = line else { return };
            if line.is_empty() {
                break;
            }
            let word = line
                .strip_prefix("GET ")
                .and_then(|rest| rest.split(' ').next());
            path = path.or(word.map(str::to_owned));
        }
        let Some(path) = path else { return };
        asked.lock().unwrap().push(path.clone());
        let fault = *fault.lock().unwrap();
        let mut body = fs::read(root.join(path.trim_start_matches('/'))).ok();
        match fault {
            Fault::Truncated(piece) if path.contains(piece) => {
                body = body.map(|bytes| bytes[..bytes.len() / 2].to_vec());
            }
            Fault::OtherDay(piece) if path.contains(piece) => {
                body = body.map(|bytes| [bytes, b"\nPackage: new\n".to_vec()].concat());
            }
            Fault::Missing(piece) if path.contains(piece) => body = None,
            Fault::Hangs(piece) if path.contains(piece) => {
                thread::sleep(Duration::from_secs(60));
                return;
            }
            Fault::Portal => body = Some(b"<html>Please log in</html>".to_vec()),
            _ => {}
        }
        let (status, body) = match body {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", Vec::new()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if stream
            .write_all(&[head.as_bytes(), &body].concat())
            .is_err()
        {
            return;
        }
    }
}
