/* What a disk and a clock can do to a program: preloaded into the server by tests.
 *
 * Below the folder POWER_DIR every change to a file is noted in POWER_STATE/log before the program
 * hears of it, and every sync when it is done, so that a test can tell what a power cut would have
 * left. POWER_STATE/control is read at every call: it has writes fail, syncs do nothing, and the
 * clock jump. The format of both is described in src/power/.
 *
 * The creation, renaming and removal of files counts as durable at once. Only what is opened by its
 * absolute path is seen. The index of a write-ahead log (-shm) is mapped, not written, and is made
 * anew after a crash: it is left alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* File descriptors above this are not watched: the server under test has far fewer. */
#define DESCRIPTORS 65536

enum { NO_FAULT, FULL, READ_ONLY, BROKEN };

struct control {
    volatile uint32_t fault;
    volatile uint32_t ignore_syncs;
    volatile int64_t clock_offset_seconds;
};

static struct control none;
static struct control *control = &none;
static const char *folder;
static size_t folder_length;
static long nap_micros = -1;
static int log_descriptor = -1;
static uint64_t log_length;
static uint32_t opened;
static uint32_t number_of[DESCRIPTORS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    const char *state = getenv("POWER_STATE"), *nap = getenv("POWER_NAP_MICROS");
    char path[PATH_MAX];
    folder = getenv("POWER_DIR");
    if (!folder || !state || strlen(state) + 16 > sizeof path) return;
    folder_length = strlen(folder);
    if (nap) nap_micros = atol(nap);
    strcat(strcpy(path, state), "/log");
    log_descriptor = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    strcat(strcpy(path, state), "/control");
    int descriptor = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    void *page = mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, descriptor, 0);
    if (page != MAP_FAILED) control = page;
    syscall(SYS_close, descriptor);
}

/* The part of a path below the folder, or NULL where it is not watched. */
static const char *below(const char *path) {
    if (log_descriptor < 0 || strncmp(path, folder, folder_length) || path[folder_length] != '/') return NULL;
    size_t length = strlen(path);
    if (length > 4 && !strcmp(path + length - 4, "-shm")) return NULL;
    return path + folder_length + 1;
}

static uint32_t number(int descriptor) {
    return descriptor >= 0 && descriptor < DESCRIPTORS ? number_of[descriptor] : 0;
}

/* To be called with the lock held. A record that a kill cuts short is ignored by its reader. */
static void note(char kind, uint32_t file, uint64_t at, const void *bytes, uint64_t length) {
    char head[21];
    head[0] = kind;
    memcpy(head + 1, &file, 4);
    memcpy(head + 5, &at, 8);
    memcpy(head + 13, &length, 8);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, length}};
    syscall(SYS_writev, log_descriptor, parts, 2);
    log_length += sizeof head + length;
}

static int fails(int descriptor, uint64_t end) {
    struct stat now;
    switch (control->fault) {
    case FULL: /* What is allocated can be written again. */
        if (fstat(descriptor, &now) == 0 && end <= (uint64_t)now.st_size) return 0;
        errno = ENOSPC;
        return 1;
    case READ_ONLY: errno = EROFS; return 1;
    case BROKEN: errno = EIO; return 1;
    default: return 0;
    }
}

static int opening(int at, const char *path, int flags, mode_t mode) {
    const char *name = path[0] == '/' ? below(path) : NULL;
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    if (name && writes && control->fault == READ_ONLY) return errno = EROFS, -1;
    pthread_mutex_lock(&lock);
    int descriptor = syscall(SYS_openat, at, path, flags, mode);
    if (descriptor >= 0 && descriptor < DESCRIPTORS) number_of[descriptor] = 0;
    if (name && writes && descriptor >= 0 && descriptor < DESCRIPTORS) {
        number_of[descriptor] = ++opened;
        note('O', opened, (flags & O_TRUNC) != 0, name, strlen(name));
    }
    pthread_mutex_unlock(&lock);
    return descriptor;
}

#define MODE(flags, last) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, last); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) { MODE(flags, flags) return opening(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, flags) return opening(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags, flags) return opening(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags, flags) return opening(at, path, flags, mode); }

int close(int descriptor) {
    pthread_mutex_lock(&lock);
    if (descriptor >= 0 && descriptor < DESCRIPTORS) number_of[descriptor] = 0;
    int done = syscall(SYS_close, descriptor);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t at) {
    uint32_t file = number(descriptor);
    if (!file) return syscall(SYS_pwrite64, descriptor, bytes, length, at);
    if (fails(descriptor, at + length)) return -1;
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_pwrite64, descriptor, bytes, length, at);
    if (done > 0) note('W', file, at, bytes, done);
    pthread_mutex_unlock(&lock);
    return done;
}
ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off_t at) { return pwrite(descriptor, bytes, length, at); }

ssize_t write(int descriptor, const void *bytes, size_t length) {
    uint32_t file = number(descriptor);
    if (!file) return syscall(SYS_write, descriptor, bytes, length);
    struct stat now;
    int appends = fcntl(descriptor, F_GETFL) & O_APPEND;
    off_t at = appends && fstat(descriptor, &now) == 0 ? now.st_size : lseek(descriptor, 0, SEEK_CUR);
    if (fails(descriptor, at + length)) return -1;
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_write, descriptor, bytes, length);
    if (done > 0) note('W', file, at, bytes, done);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int descriptor, off_t length) {
    uint32_t file = number(descriptor);
    if (file && fails(descriptor, length)) return -1;
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_ftruncate, descriptor, length);
    if (file && done == 0) note('T', file, length, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}
int ftruncate64(int descriptor, off_t length) { return ftruncate(descriptor, length); }

int posix_fallocate(int descriptor, off_t at, off_t length) {
    uint32_t file = number(descriptor);
    if (file && fails(descriptor, at + length)) return errno;
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_fallocate, descriptor, 0, at, length);
    if (file && done == 0) note('E', file, at + length, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done == 0 ? 0 : errno;
}
int posix_fallocate64(int descriptor, off_t at, off_t length) { return posix_fallocate(descriptor, at, length); }

/* The platter is the reader of the log, so a nap in place of a real sync is as good and spares the
 * disk of the machine that tests. */
static int sync_by(long call, int descriptor) {
    uint32_t file = number(descriptor);
    if (!file) return syscall(call, descriptor);
    if (control->ignore_syncs) return 0;
    if (control->fault == BROKEN) return errno = EIO, -1;
    pthread_mutex_lock(&lock);
    uint64_t before = log_length;
    pthread_mutex_unlock(&lock);
    int done = nap_micros < 0 ? syscall(call, descriptor) : usleep(nap_micros);
    if (done == 0) {
        pthread_mutex_lock(&lock);
        note('S', file, before, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return done;
}
int fsync(int descriptor) { return sync_by(SYS_fsync, descriptor); }
int fdatasync(int descriptor) { return sync_by(SYS_fdatasync, descriptor); }

int unlink(const char *path) {
    const char *name = below(path);
    if (name && control->fault == READ_ONLY) return errno = EROFS, -1;
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (name && done == 0) note('U', 0, 0, name, strlen(name));
    pthread_mutex_unlock(&lock);
    return done;
}

int rename(const char *from, const char *to) {
    const char *old = below(from), *new = below(to);
    char names[2 * PATH_MAX];
    if (old && control->fault == READ_ONLY) return errno = EROFS, -1;
    pthread_mutex_lock(&lock);
    int done = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (old && new && done == 0) {
        size_t length = strlen(old) + 1;
        memcpy(names, old, length);
        strcpy(names + length, new);
        note('R', 0, 0, names, length + strlen(new));
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int done = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += control->clock_offset_seconds;
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int done = syscall(SYS_gettimeofday, now, zone);
    now->tv_sec += control->clock_offset_seconds;
    return done;
}
