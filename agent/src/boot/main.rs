//! The executable that an initramfs runs before any native driver: a command line around the
//! library, on a start-up of its own (no libc, no allocator, no dynamic loader).
#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod children;
mod command;
mod helper;
mod init;
mod logger;
mod options;
mod place;
mod running;
#[expect(
    unsafe_code,
    reason = "start-up, memory functions, fork and ioctl have no safe form"
)]
mod sys;
mod work;
