//! Interfaces that networks go through.

use vfio_bind_cli::usage;

use crate::machine::{Addressed, Machine, NIC, place};

/// A machine whose network card has an interface.
fn machine() -> Machine {
    let machine = Machine::new();
    let interface = format!("{}/net/eth0", place(NIC));
    machine.write(&format!("{interface}/ifindex"), "2\n");
    machine.link("sys/class/net/eth0", &interface);
    machine
}

#[track_caller]
fn expect(machine: &Machine, addressed: &[&str], users: &[&str]) {
    let usage = machine.usage(&[NIC], addressed);
    let all = usage.users.into_values().flatten();
    assert_eq!(all.collect::<Vec<_>>(), users);
    assert_eq!(usage.told, [""; 0]);
}

#[test]
fn an_interface_is_in_use_by_what_networks_want_of_it() {
    expect(&machine(), &[], &[]);
    expect(&machine(), &["lo", "eth1"], &[]);
    expect(
        &machine(),
        &["eth0"],
        &["its interface eth0 has an address"],
    );
    let machine = machine();
    machine.write(
        "proc/net/route",
        "Iface\tDestination\neth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n",
    );
    expect(&machine, &[], &["its interface eth0 has a route"]);
}

#[test]
fn routes_that_every_link_has_are_no_use() {
    let machine = machine();
    let zero = "0".repeat(32);
    let route = |to: &str, bits: &str| {
        format!("{to} {bits} {zero} 00 {zero} 00000100 00000001 00000000 00000001     eth0\n")
    };
    let local = format!("fe8{}", "0".repeat(29));
    let groups = format!("ff{}", "0".repeat(30));
    let routes = route(&local, "40") + &route(&groups, "08");
    machine.write("proc/net/ipv6_route", &routes);
    expect(&machine, &[], &[]);
    let site = format!("fd{}", "0".repeat(30));
    machine.write("proc/net/ipv6_route", &(routes + &route(&site, "40")));
    expect(&machine, &[], &["its interface eth0 has a route"]);
}

#[test]
fn another_interface_on_it() {
    let machine = machine();
    let upper = format!("{}/net/eth0/upper_br0", place(NIC));
    machine.link(&upper, "sys/devices/virtual/net/br0");
    expect(&machine, &[], &["br0 is on its interface eth0"]);
}

#[test]
fn an_interface_that_a_container_has() {
    let machine = Machine::new();
    machine.write(&format!("{}/net/x", place(NIC)), "");
    expect(
        &machine,
        &[],
        &["its network interface is in another network namespace"],
    );
}

#[test]
fn who_does_not_know_the_addresses_says_so() {
    let machine = machine();
    let address = vfio_bind_agent::pci::address::Address::parse(NIC.as_bytes()).unwrap();
    let ask = Addressed(Err("ip is not installed".to_owned()));
    let usage = usage::of(machine.root(), &ask, &[address]);
    assert_eq!(usage.told, ["ip is not installed"]);
}
