/* What the disk would hold if power failed now: a shadow of one folder, for benchmarks/powerloss.py.
 *
 * Preloaded into a process, it keeps in $POWERLOSS_SHADOW what is certain to be on the disk of the files directly in $POWERLOSS_ROOT:
 *   - a file has the content it had at its last fsync or fdatasync, so writes and truncations need no interposing;
 *   - an unlink or rename is held back until the folder is synced;
 *   - a new file has its name once it or the folder is synced, and is empty if only the folder was (ext4).
 * The `-shm` file is left out: it is rebuilt from the WAL. Copies are put in place by a rename, so that a kill never leaves half of one.
 * Whatever the shim cannot do aborts the process, lest the result look better or worse than it is.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define PENDING 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root, *shadow;
static struct {
    char from[NAME_MAX + 1], to[NAME_MAX + 1]; /* `to` is empty for an unlink */
} pending[PENDING];
static int waiting;

static int (*real_fsync)(int), (*real_fdatasync)(int), (*real_unlink)(const char *), (*real_rename)(const char *, const char *);

static void die(const char *what, const char *name) {
    fprintf(stderr, "powerloss_shim: %s %s: %s\n", what, name, strerror(errno));
    abort();
}

__attribute__((constructor)) static void start(void) {
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    real_unlink = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    real_rename = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    root = getenv("POWERLOSS_ROOT");
    shadow = getenv("POWERLOSS_SHADOW");
    if (!root || !shadow) root = shadow = NULL;
}

/* The name within the root; "" for the root itself, NULL for what is elsewhere or does not count. */
static const char *name_of(const char *path) {
    size_t length = root ? strlen(root) : 0;
    if (!length || strncmp(path, root, length)) return NULL;
    if (!path[length]) return "";
    if (path[length] != '/') return NULL;
    const char *name = path + length + 1;
    size_t size = strlen(name);
    if (strchr(name, '/') || size > NAME_MAX || (size > 4 && !strcmp(name + size - 4, "-shm"))) return NULL;
    return name;
}

static void in_shadow(char *path, const char *name) {
    if (snprintf(path, PATH_MAX, "%s/%s", shadow, name) >= PATH_MAX) die("too long", name);
}

static void drop_pending(int at) {
    waiting--;
    memmove(&pending[at], &pending[at + 1], (size_t)(waiting - at) * sizeof pending[0]);
}

static void hold_back(const char *from, const char *to) {
    if (waiting == PENDING) die("too many unsynced names", from);
    strcpy(pending[waiting].from, from);
    strcpy(pending[waiting].to, to);
    waiting++;
}

/* The file as it is now becomes what the disk holds. It is read through the given descriptor: closing another one of the same file
 * would release SQLite's locks. */
static void copy(int fd, const char *name) {
    char part[PATH_MAX], path[PATH_MAX];
    struct stat status;
    off_t at = 0;
    if (snprintf(part, PATH_MAX, "%s.part", shadow) >= PATH_MAX) die("too long", name);
    in_shadow(path, name);
    int out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0 || fstat(fd, &status)) die("cannot copy", name);
    while (at < status.st_size) {
        ssize_t sent = sendfile(out, fd, &at, (size_t)(status.st_size - at));
        if (sent <= 0) die("cannot copy", name);
    }
    if (close(out) || real_rename(part, path)) die("cannot copy", name);
    /* The file under this name now is a new one, so an unlink of its predecessor has happened. */
    for (int n = waiting - 1; n >= 0; n--)
        if (!*pending[n].to && !strcmp(pending[n].from, name)) drop_pending(n);
}

/* The folder as it is now becomes what the disk holds; contents stay as they were last synced. */
static void sync_folder(void) {
    char from[PATH_MAX], to[PATH_MAX];
    for (int n = 0; n < waiting; n++) {
        in_shadow(from, pending[n].from);
        in_shadow(to, pending[n].to);
        if ((*pending[n].to ? real_rename(from, to) : real_unlink(from)) && errno != ENOENT) die("cannot apply", pending[n].from);
    }
    waiting = 0;
    DIR *folder = opendir(root);
    if (!folder) die("cannot list", root);
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t size = strlen(entry->d_name);
        if (entry->d_type != DT_REG || (size > 4 && !strcmp(entry->d_name + size - 4, "-shm"))) continue;
        in_shadow(to, entry->d_name);
        int made = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (made < 0 || close(made)) die("cannot make", entry->d_name);
    }
    closedir(folder);
}

static int synced(int fd, int (*real)(int)) {
    char link[64], path[PATH_MAX];
    int result = real(fd), kept = errno;
    if (result || !root) return result;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) die("cannot name", link);
    path[size] = 0;
    const char *name = name_of(path);
    struct stat status;
    if (name && !fstat(fd, &status) && status.st_nlink) { /* one that was unlinked meanwhile has no name to keep it under */
        pthread_mutex_lock(&lock);
        if (*name) copy(fd, name);
        else sync_folder();
        pthread_mutex_unlock(&lock);
    }
    errno = kept;
    return result;
}

int fsync(int fd) { return synced(fd, real_fsync); }

int fdatasync(int fd) { return synced(fd, real_fdatasync); }

int unlink(const char *path) {
    const char *name = name_of(path);
    if (!name || !*name) return real_unlink(path);
    pthread_mutex_lock(&lock);
    int result = real_unlink(path), kept = errno;
    if (!result) hold_back(name, "");
    pthread_mutex_unlock(&lock);
    errno = kept;
    return result;
}

int rename(const char *from, const char *to) {
    const char *old = name_of(from), *new = name_of(to);
    if (!old && !new) return real_rename(from, to);
    if (!old || !new || !*old || !*new) {
        errno = EXDEV;
        die("cannot follow the renaming of", from);
    }
    pthread_mutex_lock(&lock);
    int result = real_rename(from, to), kept = errno;
    if (!result) hold_back(old, new);
    pthread_mutex_unlock(&lock);
    errno = kept;
    return result;
}
