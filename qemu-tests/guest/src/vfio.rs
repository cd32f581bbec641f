//! A VFIO client, as small as one can be: it proves that functions are usable, not only bound.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use qemu_tests::protocol::Used;

use crate::files;
use crate::pci::DEVICES;

mod calls;

use calls::{DeviceInfo, DmaMap, GroupStatus, RegionInfo};

/// Where the mapping appears to the device: outside every reserved range of the machines here, and
/// above the 4 GiB at which an IBM Z's begin.
const IOVA: u64 = 0x1_0010_0000;

/// Uses each function. The error of one does not keep the others from being tried.
pub(crate) fn use_functions(addresses: &[String]) -> Vec<Used> {
    addresses
        .iter()
        .map(|address| use_function(address))
        .collect()
}

/// Uses one function by every interface that the kernel offers, the group first.
fn use_function(address: &str) -> Used {
    let group = files::link_name(Path::new(DEVICES).join(address).join("iommu_group"));
    let node = group.map(|number| format!("/dev/vfio/{number}"));
    let has_device_nodes = Path::new("/dev/vfio/devices").exists();
    let (through, read) = match node.filter(|node| Path::new(node).exists()) {
        Some(node) if has_device_nodes => ("group and cdev", through_both(&node, address)),
        Some(node) => ("group", through_group(&node, address)),
        None => ("cdev", through_cdev(address)),
    };
    let (ids, error) = match read {
        Ok(ids) => (ids, String::new()),
        Err(error) => (String::new(), format!("{error:#}")),
    };
    Used {
        address: address.to_owned(),
        through: through.to_owned(),
        ids,
        error,
    }
}

/// One after the other: a device has one user at a time.
fn through_both(node: &str, address: &str) -> Result<String> {
    let ids = through_group(node, address)?;
    let same = through_cdev(address).context("after its group was used")?;
    ensure!(ids == same, "{ids} by its group, {same} by its own node");
    Ok(ids)
}

/// Container, group, IOMMU, mapping, device: the way QEMU takes.
fn through_group(node: &str, address: &str) -> Result<String> {
    let container = open("/dev/vfio/vfio")?;
    let group = open(node)?;
    let mut status = GroupStatus::new();
    calls::group_status(&group, &mut status)
        .with_context(|| format!("GROUP_GET_STATUS({node})"))?;
    ensure!(
        status.is_viable(),
        "VFIO says that the group of {node} is not viable"
    );
    calls::set_container(&group, &container)
        .with_context(|| format!("GROUP_SET_CONTAINER({node})"))?;
    calls::set_type1(&container).context("SET_IOMMU(type 1 v2)")?;
    let memory = calls::Page::new()?;
    calls::map(&container, &DmaMap::new(&memory, IOVA)).context("IOMMU_MAP_DMA")?;
    let device = calls::group_device(&group, address)
        .with_context(|| format!("GROUP_GET_DEVICE_FD({address})"))?;
    read_ids(device, address)
}

/// The device's own node and an address space of iommufd: for kernels without group nodes.
fn through_cdev(address: &str) -> Result<String> {
    let directory = Path::new(DEVICES).join(address).join("vfio-dev");
    let Some(name) = files::list(&directory)?.pop() else {
        bail!(
            "{} is empty: the function has neither group node nor device node",
            directory.display()
        );
    };
    let name = name
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let iommufd = open("/dev/iommu")?;
    let device = open(&format!("/dev/vfio/devices/{name}"))?;
    calls::bind_iommufd(&device, &iommufd)
        .with_context(|| format!("DEVICE_BIND_IOMMUFD({name})"))?;
    let space = calls::new_address_space(&iommufd).context("IOMMU_IOAS_ALLOC")?;
    calls::attach(&device, space).with_context(|| format!("DEVICE_ATTACH_IOMMUFD_PT({name})"))?;
    let memory = calls::Page::new()?;
    calls::map_in_space(&iommufd, space, &memory, IOVA).context("IOMMU_IOAS_MAP")?;
    read_ids(device, address)
}

/// Vendor and device from the config region of an open device.
fn read_ids(device: File, address: &str) -> Result<String> {
    let mut info = DeviceInfo::new();
    calls::device_info(&device, &mut info)
        .with_context(|| format!("DEVICE_GET_INFO({address})"))?;
    ensure!(
        info.has_config_region(),
        "{address}: {info:?} has no config region"
    );
    let mut region = RegionInfo::config();
    calls::region_info(&device, &mut region)
        .with_context(|| format!("DEVICE_GET_REGION_INFO({address}, config)"))?;
    let mut ids = [0; 4];
    device
        .read_exact_at(&mut ids, region.offset())
        .with_context(|| format!("read({address}, config region)"))?;
    let [v0, v1, d0, d1] = ids;
    Ok(format!(
        "{:04x}:{:04x}",
        u16::from_le_bytes([v0, v1]),
        u16::from_le_bytes([d0, d1])
    ))
}

/// Opens a node for reading and writing.
fn open(path: &str) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("open({path})"))
}
