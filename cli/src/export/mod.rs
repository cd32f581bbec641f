//! What a virtual machine monitor, a cluster or a monitoring system wants to read of functions: a file for each.
//!
//! [`device`] is what there is to say of a function, [`guest`] where it goes in a guest, [`target`] the list of what
//! there is, with the options that each takes, [`notes`] what its reader should know besides, [`access`] who may open
//! it.

pub mod access;
mod cloud_hypervisor;
mod crosvm;
pub mod device;
mod firecracker;
pub mod guest;
mod incus;
mod kubevirt;
mod libvirt;
mod nfd;
pub mod notes;
pub mod prometheus;
mod proxmox;
mod qemu;
mod sriov_device_plugin;
mod stratovirt;
pub mod target;
pub mod text;
