//! Owns: what the kernel offers, as safe functions on descriptors. Knows nothing of Node.

pub mod ancillary;
pub mod blocking;
pub mod descriptor;
pub mod errno;
pub mod mark;
pub mod memfd;
pub mod message;
pub mod name;
pub mod owned;
pub mod peer;
pub mod pending;
pub mod raw_addr;
pub mod receive_memory;
pub mod reuseport;
pub mod sockaddr;
pub mod socket;
#[cfg(target_os = "linux")]
pub mod socket_diag;
pub mod socket_file;
pub mod stream;
pub mod unix_addr;
