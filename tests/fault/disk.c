/* SPDX-License-Identifier: MIT */
#include "disk.h"

#include "unit/util.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

struct disk *disk;

static sqlite3_vfs *host; /* the one that SQLite has by itself */

static const char *const fault_names[_DISK_FAULT_MAX] = {
    [DISK_WORKS] = "works",         [DISK_FAILS] = "fails",         [DISK_IS_FULL] = "is full",
    [DISK_IS_LOCKED] = "is locked", [DISK_NO_MEMORY] = "no memory", [DISK_CRASH] = "crash",
    [DISK_POWER_CUT] = "power cut",
};

const char *disk_fault_name(enum disk_fault fault)
{
    return fault_names[fault];
}

/* ---- what was not synced ---- */

struct change {
    struct change *older;
    char *path;
    sqlite3_int64 offset; /* of what was written, or the size that the file was cut to … */
    char *data;           /* … if this is NULL */
    size_t size;
};

/** A file that has changes which are not synced, as it was when it had none. */
struct original {
    struct original *next;
    char *path;
    struct bytes bytes;
};

static struct change *changes;
static struct original *originals;

static struct original *find_original(const char *path)
{
    for (struct original *o = originals; o; o = o->next)
        if (strcmp(o->path, path) == 0)
            return o;
    return NULL;
}

/** Remembers a change before it is made. */
static void remember(const char *path, sqlite3_int64 offset, const void *data, size_t size)
{
    struct original *original;
    struct change *change;

    if (disk->fault != DISK_POWER_CUT)
        return;
    change = calloc(1, sizeof(*change));
    original = find_original(path);
    if (!original) {
        original = calloc(1, sizeof(*original));
        *original = (struct original){originals, strdup(path), read_all(path)};
        originals = original;
    }
    *change = (struct change){changes, strdup(path), offset, NULL, size};
    if (data) {
        change->data = malloc(size);
        memcpy(change->data, data, size);
    }
    changes = change;
}

/** A file is on the disk as it is. */
static void forget(const char *path)
{
    for (struct change **link = &changes; *link;) {
        struct change *change = *link;

        if (strcmp(change->path, path) != 0) {
            link = &change->older;
            continue;
        }
        *link = change->older;
        free(change->path);
        free(change->data);
        free(change);
    }
    for (struct original **link = &originals; *link; link = &(*link)->next)
        if (strcmp((*link)->path, path) == 0) {
            struct original *original = *link;

            *link = original->next;
            free(original->path);
            free(original->bytes.data);
            free(original);
            return;
        }
}

static void apply(const struct change *change)
{
    int fd;

    if (!change)
        return;
    apply(change->older);
    if (chance_below(&disk->chance, 2))
        return;
    fd = open(change->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* it was deleted */
    if (change->data ? pwrite(fd, change->data, change->size, change->offset) < 0
                     : ftruncate(fd, change->offset) < 0)
        abort();
    close(fd);
}

static void cut_power(void)
{
    for (const struct original *o = originals; o; o = o->next)
        if (access(o->path, F_OK) == 0)
            scratch_write(o->path, o->bytes.data, o->bytes.n);
    apply(changes);
}

/* ---- faults ---- */

/** What an operation that fails so returns, or 0 if it can't. */
static int code_of(enum disk_fault fault, enum disk_operation operation)
{
    static const int codes[_DISK_OPERATION_MAX] = {
        [DISK_OPEN] = SQLITE_CANTOPEN,      [DISK_READ] = SQLITE_IOERR_READ,
        [DISK_WRITE] = SQLITE_IOERR_WRITE,  [DISK_TRUNCATE] = SQLITE_IOERR_TRUNCATE,
        [DISK_SYNC] = SQLITE_IOERR_FSYNC,   [DISK_LOCK] = SQLITE_IOERR_LOCK,
        [DISK_SHARE] = SQLITE_IOERR_SHMMAP, [DISK_DELETE] = SQLITE_IOERR_DELETE,
        [DISK_LOOK] = SQLITE_IOERR_ACCESS,  [DISK_NAME] = EIO,
    };
    bool writes = operation == DISK_OPEN || operation == DISK_WRITE || operation == DISK_TRUNCATE;

    switch (fault) {
    case DISK_FAILS:
        return codes[operation];
    case DISK_IS_FULL:
        return operation == DISK_NAME ? ENOSPC : writes ? SQLITE_FULL : 0;
    case DISK_IS_LOCKED:
        return operation == DISK_LOCK ? SQLITE_BUSY : 0;
    case DISK_NO_MEMORY:
        return operation == DISK_NAME ? 0 : SQLITE_IOERR_NOMEM;
    default:
        return 0;
    }
}

/** Numbers an operation. Returns what it fails with, or 0. */
static int next(enum disk_operation operation)
{
    uint64_t number = ++disk->n;
    int code;

    if (disk->fault == DISK_WORKS || number < disk->first || number - disk->first >= disk->length)
        return 0;
    if (disk->fault == DISK_POWER_CUT)
        cut_power();
    if (disk->fault == DISK_POWER_CUT || disk->fault == DISK_CRASH)
        _exit(DISK_EXIT);
    code = code_of(disk->fault, operation);
    disk->failed += code != 0;
    return code;
}

void disk_mend(void)
{
    disk->n = 0;
    disk->fault = DISK_WORKS;
    disk->failed = 0;
}

/* ---- files: what SQLite calls ---- */

struct file {
    sqlite3_file base;
    char *path;
    sqlite3_file *real; /* behind this */
};

static sqlite3_file *real(sqlite3_file *base)
{
    return ((struct file *) base)->real;
}

static int file_close(sqlite3_file *base)
{
    struct file *file = (struct file *) base;
    int r = file->real->pMethods->xClose(file->real);

    free(file->path);
    return r;
}

static int file_read(sqlite3_file *base, void *data, int size, sqlite3_int64 offset)
{
    return next(DISK_READ) ?: real(base)->pMethods->xRead(real(base), data, size, offset);
}

static int file_write(sqlite3_file *base, const void *data, int size, sqlite3_int64 offset)
{
    struct file *file = (struct file *) base;
    bool is_last = disk->n + 1 == disk->first && disk->fault != DISK_WORKS;
    int r;

    /* What fails, or is interrupted, has come to some point. */
    if (is_last)
        real(base)->pMethods->xWrite(real(base), data,
                                     (int) chance_below(&disk->chance, (uint64_t) size), offset);
    r = next(DISK_WRITE);
    if (r)
        return r;
    remember(file->path, offset, data, (size_t) size);
    return real(base)->pMethods->xWrite(real(base), data, size, offset);
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    int r = next(DISK_TRUNCATE);

    if (r)
        return r;
    remember(((struct file *) base)->path, size, NULL, 0);
    return real(base)->pMethods->xTruncate(real(base), size);
}

static int file_sync(sqlite3_file *base, int flags)
{
    int r = next(DISK_SYNC);

    if (r == SQLITE_OK) /* the real disk need not bother: its power is not cut */
        forget(((struct file *) base)->path);
    return r;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *ret)
{
    return next(DISK_LOOK) ?: real(base)->pMethods->xFileSize(real(base), ret);
}

static int file_lock(sqlite3_file *base, int level)
{
    return next(DISK_LOCK) ?: real(base)->pMethods->xLock(real(base), level);
}

static int file_unlock(sqlite3_file *base, int level)
{
    return real(base)->pMethods->xUnlock(real(base), level);
}

static int file_check_lock(sqlite3_file *base, int *ret)
{
    return next(DISK_LOCK) ?: real(base)->pMethods->xCheckReservedLock(real(base), ret);
}

static int file_control(sqlite3_file *base, int what, void *argument)
{
    return real(base)->pMethods->xFileControl(real(base), what, argument);
}

static int file_sector_size(sqlite3_file *base)
{
    return real(base)->pMethods->xSectorSize(real(base));
}

static int file_characteristics(sqlite3_file *base)
{
    return real(base)->pMethods->xDeviceCharacteristics(real(base));
}

static int file_map(sqlite3_file *base, int region, int size, int extend, void volatile **ret)
{
    return next(DISK_SHARE) ?: real(base)->pMethods->xShmMap(real(base), region, size, extend, ret);
}

static int file_lock_map(sqlite3_file *base, int offset, int n, int flags)
{
    int r = flags & SQLITE_SHM_LOCK ? next(DISK_LOCK) : 0;

    return r ?: real(base)->pMethods->xShmLock(real(base), offset, n, flags);
}

static void file_barrier(sqlite3_file *base)
{
    real(base)->pMethods->xShmBarrier(real(base));
}

static int file_unmap(sqlite3_file *base, int delete)
{
    return real(base)->pMethods->xShmUnmap(real(base), delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* no mmap(): all goes by us */
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_map,
    .xShmLock = file_lock_map,
    .xShmBarrier = file_barrier,
    .xShmUnmap = file_unmap,
};

/* ---- directories ---- */

static int disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *ret)
{
    struct file *file = (struct file *) base;
    int r;

    *file = (struct file){.real = (sqlite3_file *) (file + 1)};
    r = next(DISK_OPEN) ?: host->xOpen(host, path, file->real, flags, ret);
    if (r)
        return r;
    file->path = strdup(path ?: "");
    file->base.pMethods = &methods;
    return SQLITE_OK;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    int r = next(DISK_DELETE);

    if (r)
        return r;
    forget(path);
    return host->xDelete(host, path, sync);
}

static int disk_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    return next(DISK_LOOK) ?: host->xAccess(host, path, flags, ret);
}

/** Nobody else is there to wait for. */
static int disk_sleep(sqlite3_vfs *vfs, int usec)
{
    return usec;
}

void disk_make(void)
{
    static sqlite3_vfs vfs;

    disk = mmap(NULL, sizeof(*disk), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    host = sqlite3_vfs_find(NULL);
    if (disk == MAP_FAILED || !host)
        abort();
    disk->chance = 1;
    vfs = *host;
    vfs.zName = "faulty";
    vfs.szOsFile = (int) sizeof(struct file) + host->szOsFile;
    vfs.xOpen = disk_open;
    vfs.xDelete = disk_delete;
    vfs.xAccess = disk_access;
    vfs.xSleep = disk_sleep;
    if (sqlite3_vfs_register(&vfs, true) != SQLITE_OK)
        abort();
}

/* ---- what the ledger does to names: they take those of libc's place ---- */

static int name_fails(void)
{
    int r = disk ? next(DISK_NAME) : 0;

    if (r)
        errno = r;
    return r;
}

int rename(const char *from, const char *to)
{
    return name_fails() ? -1 : (int) syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int link(const char *from, const char *to)
{
    return name_fails() ? -1 : (int) syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}
