//! QEMU's monitor: what a guest asks for in the middle of its steps is done to its machine.
//!
//! Of the protocol (QEMU's docs/interop/qmp-spec) it needs commands one after another and one event.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use qemu_tests::machine::{Card, Machine};
use qemu_tests::plug::{self, Ask};
use serde_json::{Map, Value, json};

/// How long QEMU may take to answer, or a guest to let go of what is taken out.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a machine that is to sleep is looked at.
const TICK: Duration = Duration::from_millis(100);

/// What is asked for on the console of one machine, and done.
#[derive(Debug)]
pub struct Monitor {
    cards: &'static [Card],
    /// Where the socket is. A path in the work directory may be longer than a socket's may be.
    folder: tempfile::TempDir,
    connection: Option<Connection>,
    /// How much of what was asked for is done.
    done: usize,
    /// What QEMU calls the first function of each card that was plugged in, by the card's name; one that is
    /// taken out is there until QEMU says otherwise.
    plugged: BTreeMap<&'static str, String>,
}

impl Monitor {
    /// That of a machine, where something can be plugged into it or it has to be woken.
    ///
    /// # Errors
    /// Where there is no place for a socket.
    pub fn of(machine: &Machine) -> Result<Option<Self>> {
        if machine.cards.is_empty() && !machine.sleeps {
            return Ok(None);
        }
        Ok(Some(Self {
            cards: machine.cards,
            folder: tempfile::tempdir().context("a folder for QEMU's monitor")?,
            connection: None,
            done: 0,
            plugged: BTreeMap::new(),
        }))
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("monitor")
    }

    /// What makes QEMU listen.
    #[must_use]
    pub fn arguments(&self) -> [String; 2] {
        let socket = format!("unix:{},server=on,wait=off", self.socket().display());
        ["-qmp".to_owned(), socket]
    }

    /// Does what the console asks for and was not done yet.
    ///
    /// # Errors
    /// Where QEMU refuses it, or does not answer in time.
    pub fn follow(&mut self, console: &str) -> Result<()> {
        for ask in plug::asked(console).into_iter().skip(self.done) {
            self.done += 1;
            self.carry_out(&ask).with_context(|| format!("`{ask}`"))?;
        }
        Ok(())
    }

    fn carry_out(&mut self, ask: &Ask) -> Result<()> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(self.socket())?);
        }
        let connection = self.connection.as_mut().context("a connection")?;
        let (Ask::Add(name) | Ask::Delete(name)) = ask else {
            return connection.wake();
        };
        let card = self.cards.iter().find(|card| card.name == *name);
        let card = *card.context("the machine has no such card")?;
        let old = self.plugged.get(card.name);
        if matches!(ask, Ask::Delete(_)) {
            let id = old.context("it was not plugged in")?;
            // The whole slot goes with it.
            return connection
                .execute("device_del", json!({ "id": id }))
                .map(drop);
        }
        if let Some(id) = old {
            // A guest is done with it before QEMU has the place free, which tells of the first function only.
            connection.wait_until_deleted(id)?;
        }
        for (function, (_, words)) in card.functions.iter().enumerate().rev() {
            // Names of what is gone may be taken for a while.
            let id = format!("{}-{}-{function}", card.name, self.done);
            connection.execute("device_add", device(words, &id))?;
            self.plugged.insert(card.name, id);
        }
        Ok(())
    }
}

/// The words of `-device` as the monitor wants them.
fn device(words: &str, id: &str) -> Value {
    let mut all = Map::new();
    for word in words.split(',') {
        let (key, value) = word.split_once('=').unwrap_or(("driver", word));
        let value = match value {
            "on" => Value::Bool(true),
            other => other
                .parse::<u64>()
                .map_or_else(|_| other.into(), Value::from),
        };
        all.insert(key.to_owned(), value);
    }
    all.insert("id".to_owned(), id.into());
    Value::Object(all)
}

/// An open monitor.
#[derive(Debug)]
struct Connection {
    stream: BufReader<UnixStream>,
    /// The devices that are gone, by QEMU's own word.
    deleted: BTreeSet<String>,
}

impl Connection {
    /// Connects, greets and is greeted. QEMU listens before its machine runs.
    fn open(socket: PathBuf) -> Result<Self> {
        let stream = UnixStream::connect(&socket)
            .with_context(|| format!("connect({})", socket.display()))?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .context("setsockopt")?;
        let mut connection = Self {
            stream: BufReader::new(stream),
            deleted: BTreeSet::new(),
        };
        connection.execute("qmp_capabilities", json!({}))?;
        Ok(connection)
    }

    /// Carries out one command; gives what it returns.
    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let text = json!({ "execute": command, "arguments": arguments }).to_string();
        self.stream
            .get_mut()
            .write_all(format!("{text}\n").as_bytes())
            .with_context(|| format!("write({text}) to QEMU's monitor"))?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let mut answer = self.read()?;
            if let Some(error) = answer.get("error") {
                bail!("to {text} QEMU answers {error}");
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
        bail!("to {text} QEMU has no answer in {} s", PATIENCE.as_secs())
    }

    /// Waits until the machine is asleep, and wakes it.
    fn wake(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.execute("query-status", json!({}))?["status"] != "suspended" {
            if start.elapsed() > PATIENCE {
                bail!("it is not asleep after {} s", PATIENCE.as_secs());
            }
            thread::sleep(TICK);
        }
        self.execute("system_wakeup", json!({})).map(drop)
    }

    /// Waits until a device is gone.
    fn wait_until_deleted(&mut self, id: &str) -> Result<()> {
        let start = Instant::now();
        while !self.deleted.remove(id) {
            if start.elapsed() > PATIENCE {
                bail!("{id} is still there after {} s", PATIENCE.as_secs());
            }
            self.read()?;
        }
        Ok(())
    }

    /// One line: a greeting, an answer or an event.
    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        let length = self.stream.read_line(&mut line);
        if length.context("read(QEMU's monitor)")? == 0 {
            bail!("QEMU has closed its monitor");
        }
        let value: Value = serde_json::from_str(&line)
            .with_context(|| format!("QEMU's monitor says `{}`", line.trim_end()))?;
        if value["event"] == "DEVICE_DELETED" {
            let id = value["data"]["device"].as_str();
            self.deleted.extend(id.map(str::to_owned));
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    use qemu_tests::machine::{Iommu, pc, with_ports};

    /// What a monitor says to all that it is asked, each as it is; it gives what it was asked.
    fn answering(path: PathBuf, answers: Vec<&'static str>) -> thread::JoinHandle<Vec<Value>> {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            let say = |stream: &mut BufReader<UnixStream>, text: &str| {
                stream.get_mut().write_all(text.as_bytes()).unwrap();
            };
            say(&mut stream, "{\"QMP\": {}}\n");
            let all = ["{\"return\": {}}\n"].into_iter().chain(answers);
            let heard = all.map(|answer| {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                say(&mut stream, answer);
                serde_json::from_str(&line).unwrap()
            });
            heard.collect()
        })
    }

    const OK: &str = "{\"return\": {}}\n";

    #[test]
    fn a_machine_without_cards_has_no_monitor() {
        assert!(Monitor::of(&pc(Iommu::Intel)).unwrap().is_none());
    }

    #[test]
    fn what_was_asked_is_done_once_and_what_was_there_is_waited_for() {
        let mut monitor = Monitor::of(&with_ports(Iommu::Intel)).unwrap().unwrap();
        let gone = "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"nic-2-0\"}}\n{\"return\": {}}\n";
        let qemu = answering(monitor.socket(), vec![OK, OK, OK, gone, OK]);
        let mut console = "vfio-plug[add card]".to_owned();
        monitor.follow(&console).unwrap();
        monitor.follow(&console).unwrap();
        console += "vfio-plug[add nic]vfio-plug[delete nic]vfio-plug[add nic]";
        monitor.follow(&console).unwrap();
        let heard = qemu.join().unwrap();
        let of = |key: &str| -> Vec<_> {
            let all = heard.iter().map(|one| one["arguments"][key].clone());
            all.collect()
        };
        assert_eq!(
            of("id"),
            [
                Value::Null,
                "card-1-1".into(),
                "card-1-0".into(),
                "nic-2-0".into(),
                "nic-2-0".into(),
                "nic-4-0".into()
            ]
        );
        assert_eq!(of("multifunction")[2], true);
        assert_eq!(of("driver")[1], "intel-hda");
    }

    #[test]
    fn a_machine_is_woken_once_it_is_asleep() {
        let mut machine = pc(Iommu::Intel);
        machine.sleeps = true;
        let mut monitor = Monitor::of(&machine).unwrap().unwrap();
        let status = |word: &str| format!("{{\"return\": {{\"status\": \"{word}\"}}}}\n");
        let answers = [status("running"), status("suspended")];
        let answers = answers.map(|text| &*text.leak());
        let qemu = answering(monitor.socket(), [&answers[..], &[OK]].concat());
        monitor.follow("vfio-plug[wake]").unwrap();
        let heard = qemu.join().unwrap();
        let commands = heard.iter().map(|one| one["execute"].as_str().unwrap());
        assert_eq!(
            commands.collect::<Vec<_>>(),
            [
                "qmp_capabilities",
                "query-status",
                "query-status",
                "system_wakeup"
            ]
        );
    }

    #[test]
    fn a_refusal_says_what_qemu_said() {
        let mut monitor = Monitor::of(&with_ports(Iommu::Intel)).unwrap().unwrap();
        let no = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no way\"}}\n";
        let qemu = answering(monitor.socket(), vec![no]);
        let error = monitor.follow("vfio-plug[add nic]").unwrap_err();
        let text = format!("{error:#}");
        assert!(
            text.contains("vfio-plug[add nic]") && text.contains("no way"),
            "{text}"
        );
        qemu.join().unwrap();
        let error = monitor
            .follow("vfio-plug[add nic]vfio-plug[add x]")
            .unwrap_err();
        assert!(format!("{error:#}").contains("no such card"), "{error:#}");
    }
}
