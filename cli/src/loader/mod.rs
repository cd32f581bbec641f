//! Boot loaders: which one a machine uses, where it keeps the kernel command line, and how words are put there
//! and taken out. Nothing here writes.

pub mod addon;
pub mod alpine;
pub mod change;
pub mod clear_linux;
pub mod entry;
pub mod facts;
pub mod flash_kernel;
pub mod grub;
pub mod grub_once;
pub mod grubby;
pub mod kernel_install;
pub mod kernelstub;
pub mod limine;
pub mod line;
pub mod mkinitcpio;
pub mod one_line;
pub mod ostree;
pub mod proxmox;
pub mod raspberry_pi;
pub mod refind;
pub mod sdboot_manage;
pub mod sdbootutil;
pub mod shell;
pub mod sourced;
pub mod systemd_boot;
pub mod table;
pub mod tell;
pub mod u_boot;
pub mod uki;
pub mod view;
pub mod zipl;
