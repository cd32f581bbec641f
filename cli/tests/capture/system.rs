//! A system with an owner: everything personal in it is a secret that a test looks for.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::initramfs::image;

pub const GPU: &str = "0000:42:00.0";

/// What must not be found in a capture.
#[derive(Clone)]
pub struct Secrets {
    pub host: String,
    pub user: String,
    pub serial: String,
    pub mac: String,
    pub uuid: String,
    pub label: String,
    pub volume: String,
    pub address: String,
    pub password: String,
    pub wwid: String,
}

impl Secrets {
    pub fn fixed() -> Self {
        Self {
            host: "alicebox".to_owned(),
            user: "alice".to_owned(),
            serial: "S4EWNX0R123456Z".to_owned(),
            mac: "3c:7c:3f:a1:b2:c3".to_owned(),
            uuid: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0".to_owned(),
            label: "AliceBackup".to_owned(),
            volume: "alicevg-geheim".to_owned(),
            address: "192.168.77.5".to_owned(),
            password: "hunter2secret".to_owned(),
            wwid: "eui.0025385b71b0c8a4".to_owned(),
        }
    }

    /// Each in the ways in which it may be written.
    pub fn all(&self) -> Vec<String> {
        let Self {
            host,
            user,
            serial,
            mac,
            uuid,
            label,
            volume,
            address,
            password,
            wwid,
        } = self.clone();
        let plain = mac.replace(':', "");
        let dashes = mac.replace(':', "-");
        let wwid = wwid.trim_start_matches("eui.").to_owned();
        let upper = plain.to_uppercase();
        let bare = uuid.replace('-', "");
        vec![
            host, user, serial, mac, plain, dashes, upper, uuid, bare, label, volume, address,
            password, wwid,
        ]
    }
}

pub struct System {
    pub folder: tempfile::TempDir,
    pub root: PathBuf,
}

impl System {
    pub fn new(secrets: &Secrets) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let system = Self { folder, root };
        system.fill(secrets);
        system
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn link(&self, at: &str, target: &str) {
        let path = self.root.join(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink("../".repeat(at.split('/').count() - 1) + target, path).unwrap();
    }

    fn function(&self, place: &str, id: &str, class: &str, group: u32, driver: &str) {
        let address = place.rsplit('/').next().unwrap();
        let (vendor, device) = id.split_at(4);
        let [base, sub, interface] = [0, 2, 4].map(|at| &class[at..at + 2]);
        let modalias = format!(
            "pci:v0000{vendor}d0000{device}sv00000000sd00000000bc{base}sc{sub}i{interface}\n"
        );
        self.write(&format!("{place}/modalias"), modalias);
        self.write(
            &format!("{place}/vendor"),
            format!("0x{}\n", vendor.to_lowercase()),
        );
        self.write(
            &format!("{place}/device"),
            format!("0x{}\n", device.to_lowercase()),
        );
        self.write(&format!("{place}/reset_method"), "flr bus\n");
        self.link(
            &format!("{place}/iommu_group"),
            &format!("sys/kernel/iommu_groups/{group}"),
        );
        self.write(&format!("sys/bus/pci/drivers/{driver}/bind"), "");
        self.link(
            &format!("{place}/driver"),
            &format!("sys/bus/pci/drivers/{driver}"),
        );
        self.link(
            &format!("sys/kernel/iommu_groups/{group}/devices/{address}"),
            place,
        );
        self.link(&format!("sys/bus/pci/devices/{address}"), place);
    }

    fn fill(&self, secrets: &Secrets) {
        let Secrets {
            host,
            user,
            serial,
            mac,
            uuid,
            label,
            volume,
            address,
            password,
            wwid,
        } = secrets;
        let bus = "sys/devices/pci0000:00";
        let port = format!("{bus}/0000:00:01.0");
        self.function(&port, "80861901", "060400", 1, "pcieport");
        self.write(&format!("{port}/secondary_bus_number"), "66\n");
        self.write(&format!("{port}/subordinate_bus_number"), "66\n");
        let gpu = format!("{port}/{GPU}");
        self.function(&gpu, "10DE2204", "030000", 14, "nouveau");
        let mut config = vec![0u8; 4096];
        config[0x100..0x104].copy_from_slice(&[0x03, 0, 1, 0]);
        config[0x104..0x10c].copy_from_slice(&[0x55, 0x44, 0x33, 0xff, 0xff, 0x22, 0x11, 0x07]);
        self.write(&format!("{gpu}/config"), config);
        let mut edid = [0u8; 256];
        edid[72..90].copy_from_slice(b"\0\0\0\xff\0             ");
        let number = &serial.as_bytes()[..13.min(serial.len())];
        edid[77..77 + number.len()].copy_from_slice(number);
        self.write(&format!("{gpu}/drm/card0/card0-DP-1/edid"), edid);
        self.write(&format!("{gpu}/drm/card0/dev"), "226:0\n");
        self.link(&format!("{gpu}/drm/card0/subsystem"), "sys/class/drm");
        self.link("sys/class/drm/card0", &format!("{gpu}/drm/card0"));
        // The NIC of the default route, named after its MAC.
        let nic = format!("{bus}/0000:00:1f.6");
        self.function(&nic, "808615BC", "020000", 8, "e1000e");
        let name = format!("enx{}", mac.replace(':', ""));
        self.write(&format!("{nic}/net/{name}/address"), format!("{mac}\n"));
        self.write(&format!("{nic}/net/{name}/operstate"), "up\n");
        self.link(&format!("{nic}/net/{name}/device"), &nic);
        self.link(
            &format!("sys/class/net/{name}"),
            &format!("{nic}/net/{name}"),
        );
        let octets: Vec<u8> = address
            .split('.')
            .map(|part| part.parse().unwrap())
            .collect();
        let hex = u32::from_ne_bytes([octets[0], octets[1], octets[2], octets[3]]);
        let route = format!(
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
             {name}\t00000000\t{hex:08X}\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
        );
        self.write("proc/net/route", route);
        // The root is a volume on a disk.
        let nvme = format!("{bus}/0000:00:1d.0");
        self.function(&nvme, "144DA808", "010802", 9, "nvme");
        let disk = format!("{nvme}/nvme/nvme0/nvme0n1");
        self.write(
            &format!("{nvme}/nvme/nvme0/serial"),
            format!("{serial}  \n"),
        );
        self.write(
            &format!("{nvme}/nvme/nvme0/subsysnqn"),
            format!("nqn.2014.08.org.nvmexpress:{serial}\n"),
        );
        self.write(&format!("{nvme}/nvme/nvme0/model"), "Samsung SSD 970\n");
        self.write(&format!("{disk}/dev"), "259:0\n");
        self.write(&format!("{disk}/wwid"), format!("{wwid}\n"));
        self.link("sys/dev/block/259:0", &disk);
        self.link("sys/class/block/nvme0n1", &disk);
        let volume_place = "sys/devices/virtual/block/dm-0";
        self.write(&format!("{volume_place}/dev"), "254:0\n");
        self.write(&format!("{volume_place}/dm/name"), format!("{volume}\n"));
        self.write(
            &format!("{volume_place}/dm/uuid"),
            format!("CRYPT-LUKS2-{}-{volume}\n", uuid.replace('-', "")),
        );
        self.link(&format!("{volume_place}/slaves/nvme0n1"), &disk);
        self.link(&format!("{disk}/holders/dm-0"), volume_place);
        self.link("sys/dev/block/254:0", volume_place);
        self.link("sys/class/block/dm-0", volume_place);
        self.link(&format!("dev/mapper/{volume}"), "dev/dm-0");
        self.link(&format!("dev/disk/by-uuid/{uuid}"), "dev/nvme0n1");
        self.link(
            &format!("dev/disk/by-id/nvme-Samsung_SSD_970_{serial}"),
            "dev/nvme0n1",
        );
        self.link(&format!("dev/disk/by-label/{label}"), "dev/dm-0");
        self.write(
            "proc/self/mountinfo",
            format!(
                "22 1 254:0 / / rw - ext4 /dev/mapper/{volume} rw\n\
                 23 22 254:0 /x /home/{user}/{label} rw - ext4 /dev/mapper/{volume} rw\n\
                 24 22 0:50 / /mnt rw - nfs4 {host}.example:/export/{user} rw,addr={address}\n"
            ),
        );
        self.write("proc/swaps", "Filename Type Size Used Priority\n");
        self.write("etc/fstab", format!("# {user}\nUUID={uuid} / ext4 defaults 0 1\nLABEL={label} /home/{user} ext4 noauto 0 2\n"));
        self.write(
            "etc/crypttab",
            format!("{volume} UUID={uuid} /home/{user}/key luks\n"),
        );
        self.write("etc/hostname", format!("{host}\n"));
        self.write("proc/sys/kernel/hostname", format!("{host}\n"));
        self.write(
            "etc/passwd",
            format!(
                "root:x:0:0:root:/root:/bin/sh\n{user}:x:1000:1000:A. {host}:/home/{user}:/bin/sh\n"
            ),
        );
        self.write("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
        self.write("proc/sys/kernel/random/boot_id", format!("{uuid}\n"));
        let line = format!(
            "BOOT_IMAGE=/vmlinuz-6.1.0-18-amd64 root=/dev/mapper/{volume} ro quiet vfio.bind=42:00.0@10de:2204 \
             ip={address}::{address}:255.255.255.0:{host}:eth0 rd.luks.uuid={uuid} inst.password={password} {password}"
        );
        self.write("proc/cmdline", &line);
        self.write(
            "proc/cpuinfo",
            format!("vendor_id\t: GenuineIntel\nflags\t\t: fpu vmx\nSerial\t\t: {serial}\n"),
        );
        self.write(
            "proc/interrupts",
            format!(" 24: 1 IR-PCI-MSI-0000:00:1f.6 0-edge {name}\n"),
        );
        self.write(
            "proc/self/limits",
            "Limit Soft Hard Units\nMax locked memory         8388608    8388608   bytes\n",
        );
        self.write("sys/firmware/acpi/tables/DMAR", serial);
        self.write("sys/class/iommu/dmar0/x", "");
        self.write("sys/kernel/iommu_groups/14/type", "DMA-FQ\n");
        self.write(
            "sys/kernel/iommu_groups/14/reserved_regions",
            "0x00000000bdf6f000 0x00000000bdf7efff direct\n",
        );
        // What people wrote.
        self.write(
            "etc/default/grub",
            format!(
                "# of {user}\nGRUB_CMDLINE_LINUX=\"quiet vfio.bind=43:00.0 token={password}\"\n"
            ),
        );
        self.write("boot/grub/grub.cfg", format!(
            "password_pbkdf2 {user} {password}\nsearch --fs-uuid {uuid}\nmenuentry '{host}' {{\n\tlinux\t/vmlinuz-6.1.0-18-amd64 {line}\n}}\n"
        ));
        self.write(
            "etc/vfio-bind/policy.conf",
            format!(
                "# {user}'s\nvfio.bind=42:00.0  # {host}\nvfio.bind=dsn:07-11-22-ff-ff-33-44-55\n"
            ),
        );
        self.write(
            "etc/modprobe.d/vfio.conf",
            format!("# {user}\noptions vfio-pci ids=10de:2204\noptions wifi psk={password}\n"),
        );
        self.write(
            "run/vfio-bind/protected.conf",
            format!("vfio.protect=0000:00:1d.0@144d:a808  # /, /home/{user}: dm-0\n"),
        );
        self.write("run/vfio-bind/report.json", report(secrets));
        self.write("var/lib/vfio-bind/setup.json", format!(
            "{{\"version\":1,\"once\":false,\"words\":[\"vfio.bind=43:00.0\"],\"files\":[{{\"path\":\"home/{user}\"}}]}}"
        ));
        self.write("boot/vmlinuz-6.1.0-18-amd64", serial);
        let policy = format!("# {user}'s\nvfio.bind=42:00.0  # {host}\n");
        let list = format!("vfio.protect=0000:00:1d.0@144d:a808  # /, /home/{user}: dm-0\n");
        let options = format!("# {user}\noptions wifi psk={password}\n");
        let files = [
            ("usr/bin/vfio-bind-agent", serial.as_str()),
            ("usr/lib/modules/6.1.0-18-amd64/vfio-pci.ko", serial),
            ("etc/vfio-bind/policy.conf", &policy),
            ("etc/vfio-bind/protected.conf", &list),
            ("etc/modprobe.d/vfio.conf", &options),
            ("etc/shadow", password),
        ];
        self.write("boot/initrd.img-6.1.0-18-amd64", image(&files));
        self.write(&format!("home/{user}/diary"), password);
    }

    /// Captures into a file of that name, and gives what was printed.
    pub fn capture(&self, name: &str, arguments: &[&str]) -> (PathBuf, i32, String, String) {
        let file = self.folder.path().join(name.trim_end_matches('/'));
        let mut given = file.clone().into_os_string();
        if name.ends_with('/') {
            given.push("/");
        }
        let output = Command::new(env!("CARGO_BIN_EXE_vfio-bind"))
            .arg("capture")
            .arg(given)
            .arg("--root")
            .arg(&self.root)
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            file,
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

fn report(secrets: &Secrets) -> String {
    let Secrets {
        user,
        label,
        serial,
        uuid,
        ..
    } = secrets;
    format!(
        r#"{{"schema":1,"agent":"0.1.0","kernel":"6.1.0-18-amd64","state":"applied","iommu":{{"kind":"intel"}},
        "policy":{{"warnings":["not protected: /home/{user}/{label}: no device"]}},
        "functions":[{{"address":"{GPU}","vendor":"10de","device":"2204","subvendor":"0000","subdevice":"0000",
        "class":"030000","group":14,"driver_before":null,"driver_now":"nouveau","outcome":"failed",
        "reason":"write(0000:42:00.0/bind): EBUSY"}}],
        "messages":[{{"level":"info","about":null,"text":"disk {serial} of {uuid}"}}],"exit":1,"elapsed_us":9000}}"#
    )
}

/// Every byte of a directory: names, targets of links, contents.
pub fn everything(directory: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(place) = waiting.pop() {
        for entry in fs::read_dir(&place).unwrap() {
            let entry = entry.unwrap();
            bytes.extend(entry.file_name().as_encoded_bytes());
            bytes.push(b'\n');
            let kind = entry.file_type().unwrap();
            if kind.is_symlink() {
                bytes.extend(
                    fs::read_link(entry.path())
                        .unwrap()
                        .as_os_str()
                        .as_encoded_bytes(),
                );
            } else if kind.is_dir() {
                waiting.push(entry.path());
            } else {
                bytes.extend(fs::read(entry.path()).unwrap());
            }
            bytes.push(b'\n');
        }
    }
    bytes
}
