//! The VFIO and iommufd calls of the client. The unsafe part of the guest is here.
//!
//! Layouts are those of `linux/vfio.h` and `linux/iommufd.h`. VFIO numbers its calls without size
//! or direction, so nix has to be told the number.

use std::ffi::CString;
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::request_code_none;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// The letter of both VFIO and iommufd.
const LETTER: u8 = b';';
/// `VFIO_TYPE1v2_IOMMU`.
const TYPE1_V2: i32 = 3;
/// `VFIO_PCI_CONFIG_REGION_INDEX`.
const CONFIG_REGION: u32 = 7;
/// Readable and writable, in `VFIO_DMA_MAP_FLAG_*`.
const MAP_READ_WRITE: u32 = 0b11;
/// At a chosen address, readable, writable, in `IOMMU_IOAS_MAP_*`.
const SPACE_MAP_FLAGS: u32 = 0b111;
/// The page of every architecture that the tests run on.
const PAGE_BYTES: usize = 4096;

/// `struct vfio_group_status`.
#[repr(C)]
pub(crate) struct GroupStatus {
    argsz: u32,
    flags: u32,
}

/// `struct vfio_iommu_type1_dma_map`.
#[repr(C)]
pub(crate) struct DmaMap {
    argsz: u32,
    flags: u32,
    vaddr: u64,
    iova: u64,
    size: u64,
}

/// `struct vfio_device_info`, as far as kernels of all versions fill it.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct DeviceInfo {
    argsz: u32,
    flags: u32,
    num_regions: u32,
    num_irqs: u32,
}

/// `struct vfio_region_info`.
#[repr(C)]
pub(crate) struct RegionInfo {
    argsz: u32,
    flags: u32,
    index: u32,
    cap_offset: u32,
    size: u64,
    offset: u64,
}

/// `struct vfio_device_bind_iommufd`.
#[repr(C)]
struct BindIommufd {
    argsz: u32,
    flags: u32,
    iommufd: i32,
    out_devid: u32,
}

/// `struct vfio_device_attach_iommufd_pt`.
#[repr(C)]
struct Attach {
    argsz: u32,
    flags: u32,
    pt_id: u32,
}

/// `struct iommu_ioas_alloc`.
#[repr(C)]
struct SpaceAlloc {
    size: u32,
    flags: u32,
    out_ioas_id: u32,
}

/// `struct iommu_ioas_map`.
#[repr(C)]
struct SpaceMap {
    size: u32,
    flags: u32,
    ioas_id: u32,
    reserved: u32,
    user_va: u64,
    length: u64,
    iova: u64,
}

/// A structure's own size, as the kernel wants it in the structure.
const fn size_of<T>() -> u32 {
    std::mem::size_of::<T>() as u32
}

impl GroupStatus {
    pub(crate) fn new() -> Self {
        Self {
            argsz: size_of::<Self>(),
            flags: 0,
        }
    }

    /// `VFIO_GROUP_FLAGS_VIABLE`.
    pub(crate) fn is_viable(&self) -> bool {
        self.flags & 1 != 0
    }
}

impl DmaMap {
    pub(crate) fn new(memory: &Page, iova: u64) -> Self {
        let (vaddr, size) = memory.range();
        Self {
            argsz: size_of::<Self>(),
            flags: MAP_READ_WRITE,
            vaddr,
            iova,
            size,
        }
    }
}

impl DeviceInfo {
    pub(crate) fn new() -> Self {
        Self {
            argsz: size_of::<Self>(),
            flags: 0,
            num_regions: 0,
            num_irqs: 0,
        }
    }

    pub(crate) fn has_config_region(&self) -> bool {
        self.num_regions > CONFIG_REGION
    }
}

impl RegionInfo {
    pub(crate) fn config() -> Self {
        Self {
            argsz: size_of::<Self>(),
            flags: 0,
            index: CONFIG_REGION,
            cap_offset: 0,
            size: 0,
            offset: 0,
        }
    }

    /// Where the region is in the device's file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }
}

/// A page of memory to map for a device.
pub(crate) struct Page(NonNull<nix::libc::c_void>);

impl Page {
    pub(crate) fn new() -> Result<Self> {
        let length = NonZeroUsize::new(PAGE_BYTES).context("a page is not empty")?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new private mapping at an address of the kernel's choice aliases nothing.
        let start = unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_PRIVATE) };
        start.map(Self).context("mmap")
    }

    /// Its address and length.
    fn range(&self) -> (u64, u64) {
        (self.0.as_ptr() as u64, PAGE_BYTES as u64)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own and nothing refers into it.
        let unmapped = unsafe { munmap(self.0, PAGE_BYTES) };
        if let Err(error) = unmapped {
            eprintln!("guest-init: munmap: {error}");
        }
    }
}

mod raw {
    //! One function per call, as nix makes them: unsafe, for they trust number and structure.
    use super::*;

    nix::ioctl_write_int_bad!(set_iommu, request_code_none!(LETTER, 102));
    nix::ioctl_read_bad!(group_status, request_code_none!(LETTER, 103), GroupStatus);
    nix::ioctl_write_ptr_bad!(set_container, request_code_none!(LETTER, 104), i32);
    nix::ioctl_write_ptr_bad!(
        device_fd,
        request_code_none!(LETTER, 106),
        nix::libc::c_char
    );
    nix::ioctl_read_bad!(device_info, request_code_none!(LETTER, 107), DeviceInfo);
    nix::ioctl_read_bad!(region_info, request_code_none!(LETTER, 108), RegionInfo);
    nix::ioctl_write_ptr_bad!(map_dma, request_code_none!(LETTER, 113), DmaMap);
    nix::ioctl_read_bad!(bind_iommufd, request_code_none!(LETTER, 118), BindIommufd);
    nix::ioctl_read_bad!(attach, request_code_none!(LETTER, 119), Attach);
    nix::ioctl_read_bad!(space_alloc, request_code_none!(LETTER, 0x81), SpaceAlloc);
    nix::ioctl_read_bad!(space_map, request_code_none!(LETTER, 0x85), SpaceMap);
}

/// `VFIO_GROUP_GET_STATUS`.
pub(crate) fn group_status(group: &File, status: &mut GroupStatus) -> nix::Result<i32> {
    // SAFETY: `status` has the layout and the `argsz` that this call writes to.
    unsafe { raw::group_status(group.as_raw_fd(), status) }
}

/// `VFIO_GROUP_SET_CONTAINER`.
pub(crate) fn set_container(group: &File, container: &File) -> nix::Result<i32> {
    // SAFETY: the call reads one int, the container's descriptor.
    unsafe { raw::set_container(group.as_raw_fd(), &container.as_raw_fd()) }
}

/// `VFIO_SET_IOMMU`.
pub(crate) fn set_type1(container: &File) -> nix::Result<i32> {
    // SAFETY: the argument is a number.
    unsafe { raw::set_iommu(container.as_raw_fd(), TYPE1_V2) }
}

/// `VFIO_IOMMU_MAP_DMA`.
pub(crate) fn map(container: &File, mapping: &DmaMap) -> nix::Result<i32> {
    // SAFETY: `mapping` has the layout that the call reads; its memory outlives the container,
    // whose closing unmaps it.
    unsafe { raw::map_dma(container.as_raw_fd(), mapping) }
}

/// `VFIO_GROUP_GET_DEVICE_FD`.
pub(crate) fn group_device(group: &File, address: &str) -> nix::Result<File> {
    let address = CString::new(address).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the call reads a string that ends with zero.
    let number = unsafe { raw::device_fd(group.as_raw_fd(), address.as_ptr()) }?;
    // SAFETY: the call opened it for us alone.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(number) }))
}

/// `VFIO_DEVICE_GET_INFO`.
pub(crate) fn device_info(device: &File, info: &mut DeviceInfo) -> nix::Result<i32> {
    // SAFETY: `info` has the layout and the `argsz` that this call writes to.
    unsafe { raw::device_info(device.as_raw_fd(), info) }
}

/// `VFIO_DEVICE_GET_REGION_INFO`.
pub(crate) fn region_info(device: &File, info: &mut RegionInfo) -> nix::Result<i32> {
    // SAFETY: `info` has the layout and the `argsz` that this call writes to.
    unsafe { raw::region_info(device.as_raw_fd(), info) }
}

/// `VFIO_DEVICE_BIND_IOMMUFD`.
pub(crate) fn bind_iommufd(device: &File, iommufd: &File) -> nix::Result<i32> {
    let mut argument = BindIommufd {
        argsz: size_of::<BindIommufd>(),
        flags: 0,
        iommufd: iommufd.as_raw_fd(),
        out_devid: 0,
    };
    // SAFETY: the layout is the call's; it writes the device's number back.
    unsafe { raw::bind_iommufd(device.as_raw_fd(), &mut argument) }
}

/// `VFIO_DEVICE_ATTACH_IOMMUFD_PT`.
pub(crate) fn attach(device: &File, space: u32) -> nix::Result<i32> {
    let mut argument = Attach {
        argsz: size_of::<Attach>(),
        flags: 0,
        pt_id: space,
    };
    // SAFETY: the layout is the call's; it writes the page table's number back.
    unsafe { raw::attach(device.as_raw_fd(), &mut argument) }
}

/// `IOMMU_IOAS_ALLOC`.
pub(crate) fn new_address_space(iommufd: &File) -> nix::Result<u32> {
    let mut argument = SpaceAlloc {
        size: size_of::<SpaceAlloc>(),
        flags: 0,
        out_ioas_id: 0,
    };
    // SAFETY: the layout is the call's; it writes the new number back.
    unsafe { raw::space_alloc(iommufd.as_raw_fd(), &mut argument) }?;
    Ok(argument.out_ioas_id)
}

/// `IOMMU_IOAS_MAP`.
pub(crate) fn map_in_space(
    iommufd: &File,
    space: u32,
    memory: &Page,
    iova: u64,
) -> nix::Result<i32> {
    let (user_va, length) = memory.range();
    let mut argument = SpaceMap {
        size: size_of::<SpaceMap>(),
        flags: SPACE_MAP_FLAGS,
        ioas_id: space,
        reserved: 0,
        user_va,
        length,
        iova,
    };
    // SAFETY: the layout is the call's; the memory outlives the descriptor, whose closing unmaps.
    unsafe { raw::space_map(iommufd.as_raw_fd(), &mut argument) }
}
