//! Owns: tests of control messages.
#![allow(unsafe_code)]

use super::*;
use crate::testing::own_thread::with_own_descriptors;
use crate::testing::random::Random;
use std::os::fd::{AsRawFd, IntoRawFd};

fn bytes(rights: &Rights) -> Vec<u8> {
    // SAFETY: pointer and length describe the vector inside.
    unsafe { slice::from_raw_parts(rights.as_ptr(), rights.len()) }.to_vec()
}

fn open() -> RawFd {
    std::fs::File::open("/dev/null").unwrap().into_raw_fd()
}

fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD on any number is harmless.
    unsafe { libc::fcntl(fd, libc::F_GETFD) != -1 }
}

#[test]
fn messages_are_laid_out_as_the_c_library_says() {
    for len in 0..40 {
        // SAFETY: arithmetic.
        let (data, whole) = unsafe { (libc::CMSG_LEN(0), libc::CMSG_SPACE(len)) };
        assert_eq!((HEADER, HEADER + align(len as usize)), (data as usize, whole as usize));
    }
    assert_eq!(ALIGN % align_of::<libc::cmsghdr>(), 0);
    // SAFETY: arithmetic.
    let whole = unsafe { libc::CMSG_SPACE(3 * size_of::<RawFd>() as u32) };
    assert_eq!(Rights::new(&[0; 3]).unwrap().len(), whole as usize);
}

#[test]
#[cfg(target_os = "linux")]
fn there_is_room_for_all_that_one_message_can_bring() {
    let time = 2 * size_of::<i64>();
    let rights = MAX_FDS * size_of::<RawFd>();
    let all = [rights, size_of::<Credentials>(), size_of::<RawFd>(), MAX_LABEL, time, 3 * time];
    // SAFETY: arithmetic.
    let spaces = all.map(|len| unsafe { libc::CMSG_SPACE(len as u32) } as usize);
    assert_eq!(RECEIVE_CAPACITY, spaces.iter().sum());
}

#[test]
fn a_message_without_data_is_one() {
    let mut control = Vec::new();
    push_message(&mut control, (libc::SOL_SOCKET, 77), &[]);
    assert_eq!(control.len(), HEADER);
    // SAFETY: there is no descriptor in it.
    assert!(unsafe { Received::decode(&raw const control[..]) }.is_marked);
    // SAFETY: as above.
    assert!(!unsafe { Received::decode(&raw const control[..HEADER - 1]) }.is_marked);
}

#[test]
fn what_is_encoded_is_decoded_and_owned() {
    with_own_descriptors(|| {
        let sent: Vec<RawFd> = (0..MAX_FDS).map(|_| open()).collect();
        let encoded = bytes(&Rights::new(&sent).unwrap());
        assert!(encoded.len() <= RECEIVE_CAPACITY);
        // SAFETY: the descriptors are ours and nobody else closes them.
        let received = unsafe { Received::decode(&raw const encoded[..]) };
        assert_eq!(received.fds.iter().map(|fd| fd.as_raw_fd()).collect::<Vec<_>>(), sent);
        let (first, last) = (sent[0], sent[MAX_FDS - 1]);
        assert!(is_open(first) && is_open(last));
        drop(received);
        assert!(!is_open(first) && !is_open(last));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn credentials_go_with_descriptors() {
    with_own_descriptors(|| {
        let fd = open();
        let sender = Credentials { pid: 7, uid: 8, gid: u32::MAX };
        for (fds, claimed) in [(vec![], Some(sender)), (vec![fd], Some(sender)), (vec![], None)] {
            let encoded = bytes(&Rights::with_credentials(&fds, claimed).unwrap());
            // SAFETY: the descriptor is ours, and is decoded once.
            let received = unsafe { Received::decode(&raw const encoded[..]) };
            assert_eq!((received.fds.len(), received.credentials), (fds.len(), claimed));
        }
        assert!(!is_open(fd));
    });
}

#[test]
fn more_than_the_kernel_takes_is_refused() {
    assert_eq!(Rights::new(&[0; MAX_FDS + 1]).err(), Some(Errno::INVAL));
}

#[test]
fn broken_lengths_end_the_walk() {
    with_own_descriptors(|| {
        let fd = open();
        let whole = bytes(&Rights::new(&[fd]).unwrap());
        for cut in 0..HEADER + size_of::<RawFd>() {
            // SAFETY: too short to hold the descriptor, so none is taken over.
            assert!(unsafe { Received::decode(&whole[..cut]) }.fds.is_empty());
        }
        for lie in [0usize, 1, HEADER - 1, whole.len() + 1, usize::MAX] {
            let mut lying = whole.clone();
            lying[..size_of::<usize>()].copy_from_slice(&lie.to_ne_bytes());
            // SAFETY: the length is wrong, so nothing is taken over.
            assert!(unsafe { Received::decode(&raw const lying[..]) }.fds.is_empty());
        }
        assert!(is_open(fd));
    });
}

#[test]
fn duplicates_are_all_or_nothing() {
    with_own_descriptors(|| {
        let fd = open();
        assert_eq!(duplicate(&[fd, -1]).err(), Some(Errno::BADF));
        assert_eq!(duplicate(&[fd, 1 << 29]).err(), Some(Errno::BADF));
        let copy = duplicate(&[fd]).unwrap();
        assert_ne!(copy[0].as_raw_fd(), fd);
    });
}

/// The first duplicate would get the lowest free number: that of the one that is closed.
#[test]
fn a_closed_descriptor_is_not_replaced_by_the_first_duplicate() {
    with_own_descriptors(|| {
        let (open, closed) = (open(), open());
        // SAFETY: a descriptor of ours. It leaves the lowest free number.
        unsafe { libc::close(closed) };
        assert_eq!(duplicate(&[open, closed]).err(), Some(Errno::BADF));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn whatever_carries_a_descriptor_is_owned() {
    with_own_descriptors(|| {
        let fds = [open(), open(), open(), open()];
        let mut control = Vec::new();
        let number = |fd: RawFd| fd.to_ne_bytes();
        push_message(&mut control, (libc::SOL_SOCKET, libc::SCM_RIGHTS), &number(fds[0]));
        push_message(&mut control, (libc::SOL_SOCKET, SCM_PIDFD), &number(fds[1]));
        push_message(&mut control, (libc::SOL_SOCKET, SCM_SECURITY), b"a:label\0");
        push_message(&mut control, (libc::SOL_SOCKET, libc::SCM_RIGHTS), &number(fds[2]));
        push_message(&mut control, (libc::SOL_SOCKET, 64), &[0; 16]);
        push_message(&mut control, (libc::SOL_SOCKET, SCM_PIDFD), &number(fds[3]));
        // SAFETY: the descriptors are ours and nobody else closes them.
        let received = unsafe { Received::decode(&raw const control[..]) };
        let numbers: Vec<_> = received.fds.iter().map(AsRawFd::as_raw_fd).collect();
        assert_eq!(numbers, [fds[0], fds[2]]);
        assert!(received.is_marked && !is_open(fds[1]));
        assert_eq!(received.pidfd.as_ref().map(AsRawFd::as_raw_fd), Some(fds[3]));
        drop(received);
        assert!(fds.iter().all(|fd| !is_open(*fd)));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn an_error_in_place_of_a_descriptor_is_none() {
    let mut control = Vec::new();
    for raw in [-1, -libc::ESRCH] {
        push_message(&mut control, (libc::SOL_SOCKET, SCM_PIDFD), &raw.to_ne_bytes());
        push_message(&mut control, (libc::SOL_SOCKET, libc::SCM_RIGHTS), &raw.to_ne_bytes());
    }
    // SAFETY: there is no descriptor in it.
    let received = unsafe { Received::decode(&raw const control[..]) };
    assert!(received.pidfd.is_none() && received.fds.is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn a_sender_of_whom_the_kernel_knows_nothing_is_absent() {
    let nobody = OVERFLOW_ID;
    let cases = [
        (Credentials { pid: 0, uid: nobody, gid: nobody }, false),
        (Credentials { pid: 7, uid: nobody, gid: nobody }, true),
        (Credentials { pid: 0, uid: 0, gid: 0 }, true),
    ];
    for (sender, expected) in cases {
        let encoded = bytes(&Rights::with_credentials(&[], Some(sender)).unwrap());
        // SAFETY: there is no descriptor in it.
        let found = unsafe { Received::decode(&raw const encoded[..]) }.credentials;
        assert_eq!(found, expected.then_some(sender));
    }
}

/// Miri sees if it is: the kernel does not write padding into memory that is fresh.
#[test]
fn padding_that_was_never_written_is_not_read() {
    with_own_descriptors(|| {
        let fd = open();
        let written = bytes(&Rights::new(&[fd]).unwrap());
        let mut room = vec![std::mem::MaybeUninit::<u8>::uninit(); 2 * written.len()];
        for start in [0, written.len()] {
            let len = HEADER + size_of::<RawFd>();
            for (slot, byte) in room[start..][..len].iter_mut().zip(&written) {
                slot.write(*byte);
            }
            // The second is no descriptor.
            if start > 0 {
                let kind = std::mem::offset_of!(libc::cmsghdr, cmsg_type);
                room[start + kind].write(77);
            }
        }
        let control = std::ptr::slice_from_raw_parts(room.as_ptr().cast(), room.len());
        // SAFETY: written but for the padding, and decoded once.
        assert_eq!(unsafe { Received::decode(control) }.fds.len(), 1);
        assert!(!is_open(fd));
    });
}

/// Lets go of descriptors that were made up.
fn numbers(received: Received) -> Vec<RawFd> {
    let _ = received.pidfd.map(IntoRawFd::into_raw_fd);
    received.fds.into_iter().map(IntoRawFd::into_raw_fd).collect()
}

/// One control message as the kernel would write it; the last one's padding may be missing.
fn push_message(buffer: &mut Vec<u8>, kind: (i32, i32), data: &[u8]) {
    // SAFETY: plain integers, for which zero is valid.
    let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
    (header.cmsg_level, header.cmsg_type) = kind;
    header.cmsg_len = (HEADER + data.len()) as _;
    buffer.resize(align(buffer.len()), 0);
    let start = (&raw const header).cast::<u8>();
    // SAFETY: so many bytes has a header.
    buffer.extend(unsafe { slice::from_raw_parts(start, size_of::<libc::cmsghdr>()) });
    buffer.resize(align(buffer.len()), 0);
    buffer.extend(data);
}

#[cfg(target_os = "linux")]
const CREDENTIALS: libc::c_int = libc::SCM_CREDENTIALS;
#[cfg(not(target_os = "linux"))]
const CREDENTIALS: libc::c_int = libc::SCM_CREDS;

/// Up to `most` numbers that no descriptor has.
fn made_up(random: &mut Random, most: usize) -> Vec<RawFd> {
    (0..random.below(most + 1)).map(|_| random.below(1 << 20) as RawFd).collect()
}

/// What the C library's macros find in a control buffer: `((level, type), data)`.
fn read_by_macros(rights: &Rights) -> Vec<((i32, i32), Vec<u8>)> {
    let mut found = Vec::new();
    // SAFETY: plain integers and pointers, for which zero is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = rights.as_ptr().cast_mut().cast();
    message.msg_controllen = rights.len() as _;
    // SAFETY: pointer and length are of one buffer; a header and data that start within it are
    // what this test is about: Miri and AddressSanitizer see every byte that is read.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(&message);
        while !at.is_null() {
            let data = libc::CMSG_DATA(at);
            let len = (*at).cmsg_len as usize - data.byte_offset_from_unsigned(at);
            let kind = ((*at).cmsg_level, (*at).cmsg_type);
            found.push((kind, slice::from_raw_parts(data, len).to_vec()));
            at = libc::CMSG_NXTHDR(&message, at);
        }
    }
    found
}

#[test]
#[cfg(target_os = "linux")]
fn any_descriptors_and_credentials_are_encoded_as_the_macros_do() {
    crate::testing::random::rounds(|random| {
        let most = random.choose(&[3, 20, MAX_FDS]);
        let fds = made_up(random, most);
        let number = |random: &mut Random| random.below(1 << 32) as u32;
        let sender =
            Credentials { pid: number(random) as i32, uid: number(random), gid: number(random) };
        let claimed = random.choose(&[None, Some(sender)]);
        let rights = Rights::with_credentials(&fds, claimed).unwrap();
        let mut expected = Vec::new();
        if !fds.is_empty() {
            let data = fds.iter().flat_map(|fd| fd.to_ne_bytes()).collect();
            expected.push(((libc::SOL_SOCKET, libc::SCM_RIGHTS), data));
        }
        if let Some(Credentials { pid, uid, gid }) = claimed {
            let data = [pid as u32, uid, gid].map(u32::to_ne_bytes).concat();
            expected.push(((libc::SOL_SOCKET, libc::SCM_CREDENTIALS), data));
        }
        assert_eq!(read_by_macros(&rights), expected);
        let encoded = bytes(&rights);
        // SAFETY: the numbers are made up, and given up again below without being closed.
        let received = unsafe { Received::decode(&raw const encoded[..]) };
        let found = received.credentials;
        assert_eq!((numbers(received), found), (fds, claimed));
    });
}

#[test]
fn any_sequence_of_messages_is_decoded_and_any_damage_survived() {
    crate::testing::random::rounds(|random| {
        let (mut control, mut sent) = (Vec::new(), Vec::new());
        for _ in 0..random.below(5) {
            if random.below(2) == 0 {
                let fds = made_up(random, 20);
                let bytes: Vec<u8> = fds.iter().flat_map(|fd| fd.to_ne_bytes()).collect();
                push_message(&mut control, (libc::SOL_SOCKET, libc::SCM_RIGHTS), &bytes);
                sent.extend(fds);
            } else {
                let kinds = [libc::SCM_TIMESTAMP, CREDENTIALS, 77];
                let kind = (libc::SOL_SOCKET, random.choose(&kinds));
                // Nothing that damage could turn into -1, which no OwnedFd may be.
                let data: Vec<u8> = (0..random.below(40)).map(|byte| byte as u8).collect();
                push_message(&mut control, kind, &data);
            }
        }
        // SAFETY: the numbers are made up, and given up again below without being closed.
        let received = unsafe { Received::decode(&raw const control[..]) };
        assert_eq!(numbers(received), sent);

        // A part of it holds the first of them and no other.
        let part = &control[..random.below(control.len() + 1)];
        // SAFETY: as above.
        let received = unsafe { Received::decode(part) };
        assert!(sent.starts_with(&numbers(received)));

        for _ in 0..random.below(6) {
            if !control.is_empty() {
                let at = random.below(control.len());
                control[at] = random.below(0xff) as u8;
            }
        }
        // SAFETY: as above.
        let received = unsafe { Received::decode(&raw const control[..]) };
        assert!(received.fds.len() * size_of::<RawFd>() <= control.len());
        numbers(received);
    });
}
