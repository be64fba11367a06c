// SPDX-License-Identifier: Apache-2.0
//
// The loop that measures one operation after another, as the other programs have it, and the processes that take part.

#ifndef MEASURING_HPP
#define MEASURING_HPP

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <csignal>
#include <unistd.h>
#include <vector>

// In nanoseconds, or operations in a second.
using samples = std::vector<double>;

// CLOCK_MONOTONIC in nanoseconds.
inline int64_t now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return int64_t(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

// Shared memory for this process and its children, zeroed.
inline void *shared_memory(size_t size) {
    void *memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) return memory;
    perror("BoostPeer: mmap");
    exit(1);
}

// Does an operation again and again until the budget is used up, after a few that do not count.
template <typename Operation>
samples sample_times(int64_t budget, int batch, Operation operation) {
    constexpr size_t least = 2, minimum = 5, maximum = 5000, long_factor = 4;
    for (int i = 0; i < 3; i++) operation();
    samples times;
    int64_t first = now();
    while (true) {
        int64_t spent = now() - first;
        if (times.size() >= minimum ? spent >= budget || times.size() >= maximum : times.size() >= least && spent >= budget * int64_t(long_factor)) {
            return times;
        }
        int64_t start = now();
        for (int i = 0; i < batch; i++) operation();
        times.push_back(double(now() - start) / batch);
    }
}

// Forked processes, which are killed at the end of their scope.
class children {
    std::vector<pid_t> pids;

public:
    template <typename Body>
    void start(Body body) {
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            body();
            _exit(0);
        }
        pids.push_back(pid);
    }

    // Waits until all have ended by themselves.
    void wait() {
        for (pid_t pid : pids) waitpid(pid, nullptr, 0);
        pids.clear();
    }

    ~children() {
        for (pid_t pid : pids) kill(pid, SIGKILL);
        wait();
    }
};

// Prints the line that the conductor reads.
inline void tell(const std::string &metric, const char *unit, const samples &values) {
    printf("{\"metric\": \"%s\", \"unit\": \"%s\", \"samples\": [", metric.c_str(), unit);
    for (size_t i = 0; i < values.size(); i++) printf("%s%.9g", i == 0 ? "" : ", ", values[i]);
    printf("]}\n");
}

#endif
