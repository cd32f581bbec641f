//! Roots behind a network card or a virtio function, and virtual functions.

use crate::system::{NVME_LINE, System, expect, expect_problem};

/// Two cards: eth0, with the default route, and eth1, which leads to 10.1.0.0/16.
fn system() -> System {
    let system = System::nvme();
    for (name, path) in [
        ("eth0", "pci0000:00/0000:00:03.0"),
        ("eth1", "pci0000:00/0000:00:04.0"),
    ] {
        system.function(path, "8086:100e");
        system.interface(name, path);
    }
    let heads =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
    let address = |octets: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(octets));
    let route = |name: &str, to: [u8; 4], flags: &str, mask: [u8; 4]| {
        format!(
            "{name}\t{}\t00000000\t{flags}\t0\t0\t100\t{}\t0\t0\t0\n",
            address(to),
            address(mask)
        )
    };
    let routes = [
        route("eth0", [0; 4], "0003", [0; 4]),
        route("eth1", [10, 1, 0, 0], "0001", [255, 255, 0, 0]),
        route("eth0", [10, 2, 0, 0], "0201", [255, 255, 0, 0]),
    ];
    system.write("proc/net/route", &(heads.to_owned() + &routes.concat()));
    system.write(
        "proc/net/ipv6_route",
        "fd000000000000000000000000000000 10 00000000000000000000000000000000 00 \
         00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth1\n",
    );
    system
}

const ETH0: &str = "vfio.protect=0000:00:03.0@8086:100e  # ";
const ETH1: &str = "vfio.protect=0000:00:04.0@8086:100e  # ";

#[test]
fn a_root_on_a_network_needs_the_card_that_leads_there() {
    for (mount, line) in [
        (
            "0:41 / nfs4 server:/root rw,addr=10.1.2.3,clientaddr=10.1.0.9",
            ETH1,
        ),
        (
            "0:41 / nfs 10.1.2.3:/root rw,mountaddr=10.3.0.1,addr=10.1.2.3",
            ETH1,
        ),
        ("0:41 / nfs4 server:/root rw,addr=192.168.7.1", ETH0),
        ("0:41 / nfs4 [fd00::7]:/root rw,addr=fd00::7", ETH1),
        ("0:41 / cifs //server/root rw,addr=10.1.0.1", ETH1),
        ("0:41 / nfs4 server:/root rw", ETH0),
    ] {
        let system = system();
        system.mount(mount);
        let comment = if line == ETH0 { "/: eth0" } else { "/: eth1" };
        eprintln!("{mount}");
        expect(&system.protected(), &[(line, comment)]);
    }
    let system = System::nvme();
    system.mount("0:41 / nfs4 server:/root rw,addr=10.1.2.3");
    expect_problem(
        &system.protected(),
        &["/: ", "nfs4", "server:/root", "10.1.2.3", "route"],
    );
}

#[test]
fn a_card_below_a_bridge_and_a_bond() {
    let system = system();
    for (name, lower) in [("br0", "bond0"), ("bond0", "eth0"), ("bond0", "eth1")] {
        let place = format!("sys/devices/virtual/net/{name}");
        system.write(&format!("{place}/operstate"), "up\n");
        let target = if lower == "bond0" {
            format!("sys/devices/virtual/net/{lower}")
        } else {
            format!("sys/class/net/{lower}")
        };
        system.link(&format!("{place}/lower_{lower}"), &target);
    }
    system.link("sys/class/net/br0", "sys/devices/virtual/net/br0");
    system.link("sys/class/net/bond0", "sys/devices/virtual/net/bond0");
    system.write(
        "proc/net/route",
        "Iface\tDestination\nbr0\t00000000\t00000000\t0003\t0\t0\t0\t00000000\n",
    );
    system.mount("0:41 / nfs4 server:/root rw");
    let lines = [
        (ETH0, "/: eth0 through bond0, br0"),
        (ETH1, "/: eth1 through bond0, br0"),
    ];
    expect(&system.protected(), &lines);
}

#[test]
fn disks_that_come_over_a_network() {
    // iSCSI by software.
    let system = system();
    let session = "sys/devices/platform/host3/session1";
    system.block(
        "platform/host3/session1/target3:0:0/3:0:0:0/block/sda",
        "8:0",
    );
    system.write(
        &format!("{session}/connection1:0/iscsi_connection/connection1:0/persistent_address"),
        "10.1.2.3\n",
    );
    system.mount("8:0 / ext4 /dev/sda");
    expect(&system.protected(), &[(ETH1, "/: eth1 through sda")]);
    // NVMe over TCP.
    let system = self::system();
    let controller = "sys/devices/virtual/nvme-fabrics/ctl/nvme1";
    system.write(&format!("{controller}/transport"), "tcp\n");
    system.write(
        &format!("{controller}/address"),
        "traddr=10.1.2.3,trsvcid=4420,src_addr=10.1.0.9\n",
    );
    let subsystem = "virtual/nvme-subsystem/nvme-subsys1";
    system.link(&format!("sys/devices/{subsystem}/nvme1"), controller);
    system.block(&format!("{subsystem}/nvme1n1"), "259:8");
    system.mount("259:8 / ext4 /dev/nvme1n1");
    expect(&system.protected(), &[(ETH1, "/: eth1 through nvme1n1")]);
    // NBD: sysfs does not tell the server.
    let system = self::system();
    system.block("virtual/block/nbd0", "43:0");
    system.mount("43:0 / ext4 /dev/nbd0");
    expect(&system.protected(), &[(ETH0, "/: eth0 through nbd0")]);
}

#[test]
fn a_directory_of_the_host_comes_through_a_virtio_function() {
    for (driver, mount) in [
        ("9pnet_virtio", "0:41 / 9p root rw,trans=virtio"),
        ("virtiofs", "0:41 / virtiofs root rw"),
    ] {
        let system = system();
        let function = "pci0000:00/0000:00:05.0";
        let other = "pci0000:00/0000:00:06.0";
        for (function, number, tag) in [(function, 2, "root"), (other, 3, "share")] {
            system.function(function, "1af4:1009");
            let device = format!("{function}/virtio{number}");
            if driver == "9pnet_virtio" {
                system.write(
                    &format!("sys/devices/{device}/mount_tag"),
                    &format!("{tag}\0"),
                );
            } else {
                system.write(
                    &format!("sys/fs/virtiofs/{number}/tag"),
                    &format!("{tag}\n"),
                );
                system.link(
                    &format!("sys/fs/virtiofs/{number}/device"),
                    &format!("sys/devices/{device}"),
                );
                system.write(&format!("sys/devices/{device}/status"), "0x0000000f\n");
            }
            system.link(
                &format!("sys/bus/virtio/drivers/{driver}/virtio{number}"),
                &format!("sys/devices/{device}"),
            );
        }
        system.mount(mount);
        expect(
            &system.protected(),
            &[("vfio.protect=0000:00:05.0@1af4:1009  # ", "/: virtio2")],
        );
    }
    let system = system();
    system.mount("0:41 / 9p root rw,trans=virtio");
    expect_problem(&system.protected(), &["/: ", "9p", "root"]);
    let system = self::system();
    system.mount("0:41 / 9p 10.1.2.3 rw,trans=tcp");
    expect(&system.protected(), &[(ETH1, "/: eth1")]);
}

#[test]
fn a_disk_of_a_virtual_function_needs_the_physical_one() {
    let system = System::nvme();
    let disk = "pci0000:00/0000:00:1d.0/0000:03:00.1";
    system
        .function(disk, "144d:a808")
        .block(&format!("{disk}/nvme/nvme5/nvme5n1"), "259:9")
        .link(
            &format!("sys/devices/{disk}/physfn"),
            "sys/devices/pci0000:00/0000:00:1d.0/0000:03:00.0",
        )
        .mount("259:9 / ext4 /dev/nvme5n1");
    let lines = [
        (NVME_LINE, "/: nvme5n1"),
        ("vfio.protect=0000:00:1d.0/00.1@144d:a808  # ", "/: nvme5n1"),
    ];
    expect(&system.protected(), &lines);
}
