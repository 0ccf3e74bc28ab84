/* Stands between the real program and the C library, loaded by LD_PRELOAD: it counts the calls that change files below
 * one folder, and strikes at one of them. The program knows nothing of it.
 *
 * CRASH_ROOT   only calls on paths below this folder count
 * CRASH_ROLE   main or worker: which of the program's processes is struck
 * CRASH_AT     the number of the call, from 1; 0 strikes nowhere
 * CRASH_HOW    before | half | after: SIGKILL before the call, after half of what it writes, after it
 *              lost: the call is done, and told as failed (EIO)
 *              full: this and every later call that needs room fails (ENOSPC) until the process ends
 *              stop: SIGSTOP before the call
 *              clock: from the call of that number on, the wall clock is CRASH_JUMP seconds off
 * CRASH_MARK   a file that is made at the strike and holds the process id; where it exists, nothing is struck
 * CRASH_LOG    a file to which every counted call is added: role, number, call, path
 *
 * The program starts its training worker with a cleared environment, so these variables are added again there.
 *
 * Deliberately absent: calls that do not go through the C library. The program makes one kind of them, the renaming
 * of a finished temporary file. SIGKILL just before one is SIGKILL after the counted fsync before it, and SIGKILL
 * just after one is SIGKILL before the counted fsync of the folder after it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum how { NONE, BEFORE, HALF, AFTER, LOST, FULL, STOP, CLOCK };
/* What a call is: it carries bytes, it needs room, or neither. */
enum kind { BYTES, ROOM, OTHER };

static char root[PATH_MAX], mark[PATH_MAX], logfile[PATH_MAX];
static const char *role = "main";
static int mine, log_fd = -1;
static enum how how;
static long at, jump;
static atomic_long calls, clocks;
static atomic_int full, jumped;

static void copy(char *to, const char *name) {
    const char *value = getenv(name);
    snprintf(to, PATH_MAX, "%s", value ? value : "");
}

__attribute__((constructor)) static void begin(void) {
    static const char *const words[] = {"", "before", "half", "after", "lost", "full", "stop", "clock"};
    char command[4096] = {0};
    copy(root, "CRASH_ROOT");
    copy(mark, "CRASH_MARK");
    copy(logfile, "CRASH_LOG");
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t size = read(fd, command, sizeof command - 1);
        close(fd);
        size_t first = size > 0 ? strlen(command) + 1 : 0;
        if (first && (ssize_t)first < size && !strcmp(command + first, "train-worker")) role = "worker";
    }
    const char *text = getenv("CRASH_ROLE");
    mine = text && !strcmp(text, role);
    text = getenv("CRASH_HOW");
    for (int i = 1; text && i <= CLOCK; i++)
        if (!strcmp(text, words[i])) how = i;
    text = getenv("CRASH_AT");
    at = text ? atol(text) : 0;
    text = getenv("CRASH_JUMP");
    jump = text ? atol(text) : 0;
    if (*logfile) log_fd = syscall(SYS_openat, AT_FDCWD, logfile, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

#define REAL(type, name, ...)                                                                                          \
    static type (*real)(__VA_ARGS__);                                                                                  \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

/* Whole paths of what is below the folder; 0: it is elsewhere. */
static int below(int dir, const char *path, char *full_path) {
    char base[PATH_MAX];
    if (!*root || !path) return 0;
    if (*path == '/') {
        snprintf(full_path, PATH_MAX, "%s", path);
    } else {
        if (dir == AT_FDCWD) {
            if (syscall(SYS_getcwd, base, sizeof base) < 0) return 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
            ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
            if (size < 0) return 0;
            base[size] = 0;
        }
        if (snprintf(full_path, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return 0;
    }
    size_t size = strlen(root);
    return !strncmp(full_path, root, size) && (full_path[size] == '/' || !full_path[size]);
}

static int below_fd(int fd, char *full_path) {
    char link[64], target[PATH_MAX];
    if (fd < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, target, sizeof target - 1);
    if (size <= 0) return 0;
    target[size] = 0;
    return *target == '/' && below(AT_FDCWD, target, full_path);
}

static void note(long number, const char *name, const char *path) {
    char line[PATH_MAX + 128];
    if (log_fd < 0) return;
    int size = snprintf(line, sizeof line, "%s\t%ld\t%s\t%s\n", role, number, name, path);
    if (size > 0) syscall(SYS_write, log_fd, line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1);
}

/* Only the first to make the mark strikes. */
static int claim(void) {
    char text[32];
    int fd = syscall(SYS_openat, AT_FDCWD, mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return 0;
    int size = snprintf(text, sizeof text, "%d\n", (int)getpid());
    syscall(SYS_write, fd, text, (size_t)size);
    syscall(SYS_close, fd);
    return 1;
}

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Counts a call and says what happens to it. NONE: it is left alone. */
static enum how meet(const char *name, const char *path, enum kind kind) {
    long number = atomic_fetch_add(&calls, 1) + 1;
    note(number, name, path);
    if (!mine || !at || how == CLOCK) return NONE;
    if (atomic_load(&full)) return kind == OTHER ? NONE : FULL;
    if (how == FULL ? number < at || kind == OTHER : number != at) return NONE;
    if (how == HALF && kind != BYTES) return NONE;
    if (!claim()) return NONE;
    if (how == BEFORE) die();
    if (how == STOP) syscall(SYS_kill, getpid(), SIGSTOP);
    if (how == FULL) atomic_store(&full, 1);
    return how;
}

/* Does the call as it was told to: `call` is the real one, `part` half of it, `undo` what a lost answer takes along. */
#define DO(type, name, path, kind, call, part, undo)                                                                   \
    do {                                                                                                               \
        enum how fate = meet(name, path, kind);                                                                        \
        if (fate == FULL) {                                                                                            \
            errno = ENOSPC;                                                                                            \
            return -1;                                                                                                 \
        }                                                                                                              \
        if (fate == HALF) {                                                                                            \
            type partly = part;                                                                                        \
            (void)partly;                                                                                              \
            die();                                                                                                     \
        }                                                                                                              \
        type answer = call;                                                                                            \
        if (fate == AFTER) die();                                                                                      \
        if (fate == LOST && answer >= 0) {                                                                             \
            undo;                                                                                                      \
            errno = EIO;                                                                                               \
            return -1;                                                                                                 \
        }                                                                                                              \
        return answer;                                                                                                 \
    } while (0)

#define ON_FD(type, name, kind, types, names, part_names)                                                              \
    type name types {                                                                                                  \
        REAL(type, name, TYPES);                                                                                       \
        char path[PATH_MAX];                                                                                           \
        if (!below_fd(fd, path)) return real names;                                                                    \
        DO(type, #name, path, kind, real names, real part_names, (void)0);                                             \
    }

#define TYPES int, const void *, size_t
ON_FD(ssize_t, write, BYTES, (int fd, const void *data, size_t size), (fd, data, size), (fd, data, size / 2))
#undef TYPES
#define TYPES int, const void *, size_t, off_t
ON_FD(ssize_t, pwrite, BYTES, (int fd, const void *data, size_t size, off_t to), (fd, data, size, to),
      (fd, data, size / 2, to))
#undef TYPES
#define TYPES int, const void *, size_t, off64_t
ON_FD(ssize_t, pwrite64, BYTES, (int fd, const void *data, size_t size, off64_t to), (fd, data, size, to),
      (fd, data, size / 2, to))
#undef TYPES
#define TYPES int, const struct iovec *, int
ON_FD(ssize_t, writev, BYTES, (int fd, const struct iovec *list, int count), (fd, list, count),
      (fd, list, count > 1 ? count / 2 : 0))
#undef TYPES
#define TYPES int, off_t
ON_FD(int, ftruncate, ROOM, (int fd, off_t size), (fd, size), (fd, size))
#undef TYPES
#define TYPES int, off64_t
ON_FD(int, ftruncate64, ROOM, (int fd, off64_t size), (fd, size), (fd, size))
#undef TYPES
#define TYPES int
ON_FD(int, fsync, ROOM, (int fd), (fd), (fd))
ON_FD(int, fdatasync, ROOM, (int fd), (fd), (fd))
#undef TYPES
#define TYPES int, mode_t
ON_FD(int, fchmod, OTHER, (int fd, mode_t mode), (fd, mode), (fd, mode))
#undef TYPES

ssize_t copy_file_range(int from, off64_t *from_at, int fd, off64_t *to_at, size_t size, unsigned flags) {
    REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);
    char path[PATH_MAX];
    if (!below_fd(fd, path)) return real(from, from_at, fd, to_at, size, flags);
    DO(ssize_t, "copy_file_range", path, BYTES, real(from, from_at, fd, to_at, size, flags),
       real(from, from_at, fd, to_at, 1, flags), (void)0);
}

ssize_t sendfile64(int fd, int from, off64_t *from_at, size_t size) {
    REAL(ssize_t, sendfile64, int, int, off64_t *, size_t);
    char path[PATH_MAX];
    if (!below_fd(fd, path)) return real(fd, from, from_at, size);
    DO(ssize_t, "sendfile", path, BYTES, real(fd, from, from_at, size), real(fd, from, from_at, 1), (void)0);
}

#define ON_PATH(name, kind, dir, named, types, names)                                                                  \
    int name types {                                                                                                   \
        REAL(int, name, TYPES);                                                                                        \
        char path[PATH_MAX];                                                                                           \
        if (!below(dir, named, path)) return real names;                                                               \
        DO(int, #name, path, kind, real names, real names, (void)0);                                                   \
    }

#define TYPES const char *, const char *
ON_PATH(rename, ROOM, AT_FDCWD, to, (const char *from, const char *to), (from, to))
ON_PATH(link, ROOM, AT_FDCWD, to, (const char *from, const char *to), (from, to))
ON_PATH(symlink, ROOM, AT_FDCWD, to, (const char *from, const char *to), (from, to))
#undef TYPES
#define TYPES int, const char *, int, const char *
ON_PATH(renameat, ROOM, in, to, (int of, const char *from, int in, const char *to), (of, from, in, to))
#undef TYPES
#define TYPES int, const char *, int, const char *, unsigned
ON_PATH(renameat2, ROOM, in, to, (int of, const char *from, int in, const char *to, unsigned flags),
        (of, from, in, to, flags))
#undef TYPES
#define TYPES int, const char *, int, const char *, int
ON_PATH(linkat, ROOM, in, to, (int of, const char *from, int in, const char *to, int flags), (of, from, in, to, flags))
#undef TYPES
#define TYPES const char *
ON_PATH(unlink, OTHER, AT_FDCWD, name, (const char *name), (name))
ON_PATH(rmdir, OTHER, AT_FDCWD, name, (const char *name), (name))
#undef TYPES
#define TYPES int, const char *, int
ON_PATH(unlinkat, OTHER, in, name, (int in, const char *name, int flags), (in, name, flags))
#undef TYPES
#define TYPES const char *, mode_t
ON_PATH(mkdir, ROOM, AT_FDCWD, name, (const char *name, mode_t mode), (name, mode))
ON_PATH(chmod, OTHER, AT_FDCWD, name, (const char *name, mode_t mode), (name, mode))
#undef TYPES
#define TYPES int, const char *, mode_t
ON_PATH(mkdirat, ROOM, in, name, (int in, const char *name, mode_t mode), (in, name, mode))
#undef TYPES

/* Opening a file changes something where it makes the file or empties it. */
static int opened(int in, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    int changes = (flags & O_TRUNC) ||
                  ((flags & O_CREAT) && name && syscall(SYS_faccessat, in, name, F_OK) != 0);
    if (!changes || !below(in, name, path)) return syscall(SYS_openat, in, name, flags, mode);
    DO(int, "open", path, ROOM, (int)syscall(SYS_openat, in, name, flags, mode), -1, syscall(SYS_close, answer));
}

#define MODE(after)                                                                                                    \
    va_list more;                                                                                                      \
    va_start(more, after);                                                                                             \
    mode_t mode = (after & O_CREAT) || (after & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0;                    \
    va_end(more)

int open(const char *name, int flags, ...) {
    MODE(flags);
    return opened(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
    MODE(flags);
    return opened(AT_FDCWD, name, flags | O_LARGEFILE, mode);
}
int openat(int in, const char *name, int flags, ...) {
    MODE(flags);
    return opened(in, name, flags, mode);
}
int openat64(int in, const char *name, int flags, ...) {
    MODE(flags);
    return opened(in, name, flags | O_LARGEFILE, mode);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    int answer = real(clock, time);
    if (clock != CLOCK_REALTIME || !*root) return answer;
    long number = atomic_fetch_add(&clocks, 1) + 1;
    note(number, "clock", "-");
    if (mine && how == CLOCK && number == at && claim()) atomic_store(&jumped, 1);
    if (!answer && atomic_load(&jumped)) time->tv_sec += jump;
    return answer;
}

/* Our variables, once more, for the worker. */
static char **with_ours(char *const argv[], char *const envp[]) {
    size_t had = 0, count = 0;
    if (!argv || !argv[0] || !argv[1] || strcmp(argv[1], "train-worker")) return (char **)envp;
    while (envp && envp[had]) had++;
    while (environ && environ[count]) count++;
    char **all = calloc(had + count + 1, sizeof *all);
    if (!all) return (char **)envp;
    size_t size = 0;
    for (size_t i = 0; i < had; i++) all[size++] = envp[i];
    for (size_t i = 0; i < count; i++)
        if (!strncmp(environ[i], "CRASH_", 6) || !strncmp(environ[i], "LD_PRELOAD=", 11)) all[size++] = environ[i];
    return all;
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *about,
                char *const argv[], char *const envp[]) {
    REAL(int, posix_spawn, pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
         char *const *, char *const *);
    return real(pid, path, actions, about, argv, with_ours(argv, envp));
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *about, char *const argv[], char *const envp[]) {
    REAL(int, posix_spawnp, pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
         char *const *, char *const *);
    return real(pid, file, actions, about, argv, with_ours(argv, envp));
}
