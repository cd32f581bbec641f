//! The way out of the machine.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::libc::{AF_INET, IFF_UP, RTF_GATEWAY, RTF_UP, c_char, c_short, ifreq, rtentry, sockaddr};

use crate::files;
use crate::pci::DEVICES;

/// The NIC's own address; the kernel makes a network of class A of it.
const OWN: [u8; 4] = [10, 0, 2, 15];
/// Who is asked to pass packets on. Nobody is there.
const GATEWAY: [u8; 4] = [10, 0, 2, 2];
/// Every address.
const ANY: [u8; 4] = [0; 4];
/// Probing takes a moment.
const LIMIT: Duration = Duration::from_secs(20);

/// Gives the NIC at `address` an address of its own, and the default route.
pub(crate) fn lead_out(address: &str) -> Result<()> {
    let name = interface(&Path::new(DEVICES).join(address).join("net"))?;
    let socket = UdpSocket::bind(("0.0.0.0", 0)).context("a socket")?;
    let mut request = request(&name, OWN)?;
    // SAFETY: the call reads an `ifreq` with an address in it.
    unsafe { raw::set_address(socket.as_raw_fd(), &request) }
        .with_context(|| format!("SIOCSIFADDR({name})"))?;
    request.ifr_ifru.ifru_flags = IFF_UP as c_short;
    // SAFETY: the call reads an `ifreq` with flags in it.
    unsafe { raw::set_flags(socket.as_raw_fd(), &request) }
        .with_context(|| format!("SIOCSIFFLAGS({name}, up)"))?;
    // SAFETY: zeros are numbers, addresses of no family and a null pointer, which the call takes for
    // "by whichever interface reaches the gateway".
    let mut route: rtentry = unsafe { std::mem::zeroed() };
    route.rt_dst = inet(ANY);
    route.rt_genmask = inet(ANY);
    route.rt_gateway = inet(GATEWAY);
    route.rt_flags = RTF_UP | RTF_GATEWAY;
    // SAFETY: the call reads a `rtentry`; it names no interface to follow a pointer to.
    unsafe { raw::add_route(socket.as_raw_fd(), &route) }
        .with_context(|| format!("SIOCADDRT(default by {name})"))?;
    Ok(())
}

/// Waits for the name that a function's network interface has.
fn interface(folder: &Path) -> Result<String> {
    let start = Instant::now();
    loop {
        let found = files::list(folder).unwrap_or_default();
        if let Some(name) = found.first().and_then(|path| path.file_name()) {
            return Ok(name.to_string_lossy().into_owned());
        }
        ensure!(
            start.elapsed() < LIMIT,
            "no interface below {} after {} s",
            folder.display(),
            LIMIT.as_secs()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn request(name: &str, address: [u8; 4]) -> Result<ifreq> {
    // SAFETY: zeros are an empty name and an address of no family.
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        bail!("{name}: no interface has such a long name");
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as c_char;
    }
    request.ifr_ifru.ifru_addr = inet(address);
    Ok(request)
}

/// As in `struct sockaddr_in`: the port, which counts for nothing here, and the address.
fn inet(address: [u8; 4]) -> sockaddr {
    let mut data = [0; 14];
    for (to, from) in data[2..].iter_mut().zip(address) {
        *to = from as c_char;
    }
    sockaddr {
        sa_family: AF_INET as u16,
        sa_data: data,
    }
}

mod raw {
    //! One function per call, as nix makes them: unsafe, for they trust number and structure.
    use nix::libc::{SIOCADDRT, SIOCSIFADDR, SIOCSIFFLAGS, ifreq, rtentry};

    nix::ioctl_write_ptr_bad!(set_address, SIOCSIFADDR, ifreq);
    nix::ioctl_write_ptr_bad!(set_flags, SIOCSIFFLAGS, ifreq);
    nix::ioctl_write_ptr_bad!(add_route, SIOCADDRT, rtentry);
}
