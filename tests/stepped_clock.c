/* A clock that a test can step: preloaded into a redis-server, it adds to the time of day the seconds that
 * stand in the file $STEPPED_CLOCK (a double). libfaketime can't do this to a program that uses jemalloc. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile double *step;

__attribute__((constructor)) static void find_the_file(void) {
    static const double none = 0;
    const char *name = getenv("STEPPED_CLOCK");
    int file = name ? open(name, O_RDONLY) : -1;
    void *mapped = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(double), PROT_READ, MAP_SHARED, file, 0);
    step = mapped == MAP_FAILED ? &none : mapped;
    if (file >= 0) close(file);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec real;
    int status = clock_gettime(CLOCK_REALTIME, &real);
    double seconds = step ? floor(*step) : 0;
    double rest = step ? *step - seconds : 0;
    long micros = real.tv_nsec / 1000 + (long)(rest * 1e6);
    now->tv_sec = real.tv_sec + (time_t)seconds + micros / 1000000;
    now->tv_usec = micros % 1000000;
    return status;
}

time_t time(time_t *now) {
    struct timeval stepped;
    gettimeofday(&stepped, NULL);
    if (now) *now = stepped.tv_sec;
    return stepped.tv_sec;
}
