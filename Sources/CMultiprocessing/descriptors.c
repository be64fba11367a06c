// SPDX-License-Identifier: Apache-2.0
//
// Messages with file descriptors beside them (unix(7), SCM_RIGHTS). The control-message macros are not visible from Swift.

#define _GNU_SOURCE
#include "CMultiprocessing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t mp_send(int socket, const void *head, size_t head_size, const void *body, size_t body_size, const int *fds, size_t fd_count, int flags) {
    if (fd_count > MP_MAXIMUM_DESCRIPTORS) {
        errno = EINVAL;
        return -1;
    }
    struct iovec parts[2] = {{(void *)head, head_size}, {(void *)body, body_size}};
    union {
        char bytes[CMSG_SPACE(MP_MAXIMUM_DESCRIPTORS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = body_size > 0 ? 2 : 1};
    if (fd_count > 0) {
        memset(&control, 0, CMSG_SPACE(fd_count * sizeof(int)));
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, fd_count * sizeof(int));
    }
    ssize_t sent;
    do sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent;
}

ssize_t mp_receive(int socket, void *buffer, size_t capacity, int *fds, size_t *fd_count, int flags) {
    struct iovec part = {buffer, capacity};
    union {
        char bytes[CMSG_SPACE(MP_MAXIMUM_DESCRIPTORS * sizeof(int))];
        struct cmsghdr align;
    } control;
    size_t room = fd_count != NULL ? *fd_count : 0;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t received;
    do received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (fd_count != NULL) *fd_count = 0;
    if (received < 0) return -1;

    size_t count = 0;
    bool fits = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        size_t n = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
            if (fits && count < room) {
                fds[count++] = fd;
            } else {
                // Nobody else knows of this descriptor: left open it would leak for good.
                fits = false;
                close(fd);
            }
        }
    }
    if (!fits) {
        for (size_t i = 0; i < count; i++) close(fds[i]);
        errno = EMSGSIZE;
        return -1;
    }
    if (fd_count != NULL) *fd_count = count;
    return received;
}

int mp_accept(int socket, struct sockaddr *address, socklen_t *address_size) {
    int accepted;
    do accepted = accept4(socket, address, address_size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (accepted < 0 && (errno == EINTR || errno == ECONNABORTED));
    return accepted;
}

int64_t mp_peer_user(int socket) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -1;
    return (int64_t)peer.uid;
}
