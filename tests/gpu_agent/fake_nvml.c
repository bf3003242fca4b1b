/* A libnvidia-ml.so.1 that answers by a table, with the types and layouts of NVIDIA's nvml.h. Strict: a call that the table does not
 * name, or with arguments that NVML would not take, ends the process. The table is the file that $FAKE_NVML names, a line a call:
 *     FUNCTION DEVICE CODE VALUES...        DEVICE: -, gpuN or gpuN/migM; CODE: an nvmlReturn_t, or `hang`
 *     event NUMBER gpuN XID GPU_INSTANCE    handed out once, in order of NUMBER; GPU_INSTANCE -1: none
 *     nvmlEventSetWait_v2 - CODE            where there is this line, every wait fails
 * A GPU whose handle was once refused as lost (15) or unknown (999) stays so until NVML was shut down and opened again, as with the
 * real one; so does a count that was once refused.
 * It is read again when it changes; lines that begin with the last NUMBER handed out are not handed out again. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef int nvmlReturn_t;
typedef struct { char name[16]; } Device, *nvmlDevice_t;
typedef struct { int registered[16]; } EventSet, *nvmlEventSet_t;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } nvmlMemory_v2_t;
typedef struct { unsigned int gpu, memory; } nvmlUtilization_t;
typedef struct {
    unsigned int multiprocessorCount, sharedCopyEngineCount, sharedDecoderCount, sharedEncoderCount, sharedJpegCount,
        sharedOfaCount, gpuInstanceSliceCount, computeInstanceSliceCount;
    unsigned long long memorySizeMB;
} nvmlDeviceAttributes_t;
typedef struct {
    nvmlDevice_t device;
    unsigned long long eventType, eventData;
    unsigned int gpuInstanceId, computeInstanceId;
} nvmlEventData_t;

#define UNINITIALIZED 1
#define TIMEOUT 10
#define LOST 15
#define UNKNOWN 999
#define XID_EVENT 8ULL
#define MOST 4096

typedef struct { char function[64], device[16], code[8], values[160]; } Line;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Line lines[MOST];
static int line_count;
static struct timespec read_at;
static Device gpus[16], migs[16][8];
static int opened, handed_out, uncounted, lost[16];

static void fail(const char *what, const char *device) {
    fprintf(stderr, "fake NVML: unexpected call: %s %s\n", what, device);
    _exit(97);
}

static void read_table(void) {
    const char *path = getenv("FAKE_NVML");
    struct stat found;
    if (!path || stat(path, &found)) fail("no table", path ? path : "");
    if (found.st_mtim.tv_sec == read_at.tv_sec && found.st_mtim.tv_nsec == read_at.tv_nsec) return;
    FILE *file = fopen(path, "r");
    char text[256];
    line_count = 0;
    while (file && fgets(text, sizeof text, file) && line_count < MOST) {
        Line *line = &lines[line_count];
        line->values[0] = 0;
        if (sscanf(text, "%63s %15s %7s %159[^\n]", line->function, line->device, line->code, line->values) >= 3) line_count++;
    }
    if (file) fclose(file);
    read_at = found.st_mtim;
}

/* The values of a call, in `values`; what it returns as the result. */
static nvmlReturn_t answer(const char *function, const char *device, char *values) {
    pthread_mutex_lock(&lock);
    read_table();
    for (int i = 0; i < line_count; i++) {
        if (strcmp(lines[i].function, function) || strcmp(lines[i].device, device)) continue;
        char code[8];
        strcpy(code, lines[i].code);
        strcpy(values, lines[i].values);
        pthread_mutex_unlock(&lock);
        if (!strcmp(code, "hang")) for (;;) pause();
        return atoi(code);
    }
    fail(function, device);
    return 999;
}

static nvmlReturn_t number(const char *function, nvmlDevice_t device, unsigned int *value) {
    char values[160];
    nvmlReturn_t code = answer(function, device ? device->name : "-", values);
    if (!code) *value = (unsigned int)strtoul(values, 0, 0);
    return code;
}

static nvmlReturn_t mask(const char *function, nvmlDevice_t device, unsigned long long *value) {
    char values[160];
    nvmlReturn_t code = answer(function, device->name, values);
    if (!code) *value = strtoull(values, 0, 0);
    return code;
}

#define OPEN_OR_RETURN if (!opened) return UNINITIALIZED

nvmlReturn_t nvmlInitWithFlags(unsigned int flags) {
    char values[160];
    (void)flags;
    for (int gpu = 0; gpu < 16; gpu++) {
        sprintf(gpus[gpu].name, "gpu%d", gpu);
        for (int mig = 0; mig < 8; mig++) sprintf(migs[gpu][mig].name, "gpu%d/mig%d", gpu, mig);
    }
    nvmlReturn_t code = answer("nvmlInit", "-", values);
    if (!code && __atomic_add_fetch(&opened, 1, __ATOMIC_SEQ_CST) == 1) { uncounted = 0; memset(lost, 0, sizeof lost); }
    return code;
}
nvmlReturn_t nvmlShutdown(void) {
    OPEN_OR_RETURN;
    __atomic_sub_fetch(&opened, 1, __ATOMIC_SEQ_CST);
    return 0;
}
const char *nvmlErrorString(nvmlReturn_t result) { return result == 15 ? "GPU is lost" : "an error of the fake"; }
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
    OPEN_OR_RETURN;
    nvmlReturn_t code = number("nvmlDeviceGetCount_v2", 0, count);
    if (code) uncounted = code;
    return uncounted;
}
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    char values[160];
    OPEN_OR_RETURN;
    if (index >= 16) fail("nvmlDeviceGetHandleByIndex_v2", "index");
    *device = &gpus[index];
    nvmlReturn_t code = answer("nvmlDeviceGetHandleByIndex_v2", gpus[index].name, values);
    if (code == LOST || code == UNKNOWN) lost[index] = code;
    return lost[index] ? lost[index] : code;
}
nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length) {
    char values[160];
    OPEN_OR_RETURN;
    nvmlReturn_t code = answer("nvmlDeviceGetUUID", device->name, values);
    if (!code && strlen(values) >= length) fail("nvmlDeviceGetUUID with too small a buffer", device->name);
    if (!code) strcpy(uuid, values);
    return code;
}
nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned int *minor) {
    OPEN_OR_RETURN;
    return number("nvmlDeviceGetMinorNumber", device, minor);
}
nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending) {
    OPEN_OR_RETURN;
    nvmlReturn_t code = number("nvmlDeviceGetMigMode", device, current);
    if (!code) *pending = *current;
    return code;
}
nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count) {
    OPEN_OR_RETURN;
    return number("nvmlDeviceGetMaxMigDeviceCount", device, count);
}
nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index, nvmlDevice_t *mig) {
    char values[160];
    OPEN_OR_RETURN;
    if (index >= 8 || device < gpus || device >= gpus + 16) fail("nvmlDeviceGetMigDeviceHandleByIndex", device->name);
    *mig = &migs[device - gpus][index];
    return answer("nvmlDeviceGetMigDeviceHandleByIndex", (*mig)->name, values);
}
nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned int *id) {
    OPEN_OR_RETURN;
    return number("nvmlDeviceGetGpuInstanceId", device, id);
}
nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t device, nvmlDeviceAttributes_t *attributes) {
    char values[160];
    OPEN_OR_RETURN;
    nvmlReturn_t code = answer("nvmlDeviceGetAttributes_v2", device->name, values);
    memset(attributes, 0, sizeof *attributes);
    if (!code && sscanf(values, "%u %llu", &attributes->gpuInstanceSliceCount, &attributes->memorySizeMB) != 2)
        fail("nvmlDeviceGetAttributes_v2: table", device->name);
    return code;
}
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
    char values[160];
    OPEN_OR_RETURN;
    if (memory->version != (sizeof(nvmlMemory_v2_t) | 2u << 24)) fail("nvmlDeviceGetMemoryInfo_v2 of another version", device->name);
    nvmlReturn_t code = answer("nvmlDeviceGetMemoryInfo_v2", device->name, values);
    if (!code && sscanf(values, "%llu %llu %llu %llu", &memory->used, &memory->free, &memory->reserved, &memory->total) != 4)
        fail("nvmlDeviceGetMemoryInfo_v2: table", device->name);
    return code;
}
nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *use) {
    OPEN_OR_RETURN;
    use->memory = 99;
    return number("nvmlDeviceGetUtilizationRates", device, &use->gpu);
}
nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, int type, unsigned int *clock) {
    OPEN_OR_RETURN;
    if (type != 1) fail("nvmlDeviceGetClockInfo of another clock", device->name);
    return number("nvmlDeviceGetClockInfo", device, clock);
}
nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, int type, unsigned int *clock) {
    OPEN_OR_RETURN;
    if (type != 1) fail("nvmlDeviceGetMaxClockInfo of another clock", device->name);
    return number("nvmlDeviceGetMaxClockInfo", device, clock);
}
nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device, unsigned long long *reasons) {
    OPEN_OR_RETURN;
    return mask("nvmlDeviceGetCurrentClocksThrottleReasons", device, reasons);
}
nvmlReturn_t nvmlDeviceGetSupportedClocksThrottleReasons(nvmlDevice_t device, unsigned long long *reasons) {
    OPEN_OR_RETURN;
    return mask("nvmlDeviceGetSupportedClocksThrottleReasons", device, reasons);
}
nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set) {
    OPEN_OR_RETURN;
    *set = calloc(1, sizeof(EventSet));
    return 0;
}
nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) {
    free(set);
    return 0;
}
nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set) {
    char values[160];
    OPEN_OR_RETURN;
    if (types != XID_EVENT || device < gpus || device >= gpus + 16) fail("nvmlDeviceRegisterEvents", device->name);
    nvmlReturn_t code = answer("nvmlDeviceRegisterEvents", device->name, values);
    if (!code) set->registered[device - gpus] = 1;
    return code;
}
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeout_ms) {
    const struct timespec step = {0, 250000000};
    OPEN_OR_RETURN;
    if (timeout_ms > 5000) fail("nvmlEventSetWait_v2 without an end", "-");
    for (unsigned int waited = 0; waited <= timeout_ms; waited += 250, nanosleep(&step, 0)) {
        pthread_mutex_lock(&lock);
        read_table();
        for (int i = 0; i < line_count; i++) {
            int gpu, instance, event = atoi(lines[i].device);
            unsigned long long xid;
            if (!strcmp(lines[i].function, "nvmlEventSetWait_v2")) {
                int code = atoi(lines[i].code);
                pthread_mutex_unlock(&lock);
                nanosleep(&step, 0);
                return code;
            }
            if (strcmp(lines[i].function, "event") || event <= handed_out) continue;
            if (sscanf(lines[i].code, "gpu%d", &gpu) != 1 || sscanf(lines[i].values, "%llu %d", &xid, &instance) != 2)
                fail("event: table", lines[i].code);
            handed_out = event;
            if (!set->registered[gpu]) continue;
            *data = (nvmlEventData_t){&gpus[gpu], XID_EVENT, xid, (unsigned int)instance, 0xFFFFFFFF};
            pthread_mutex_unlock(&lock);
            return 0;
        }
        pthread_mutex_unlock(&lock);
    }
    return TIMEOUT;
}
