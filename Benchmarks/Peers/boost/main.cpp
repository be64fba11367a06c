// SPDX-License-Identifier: Apache-2.0
//
// Boost.Interprocess, where its headers are: a bounded queue of raw messages, a mutex, and what goes with it. None survives the death of its holder.
//
// Called as: BoostPeer METRIC SECONDS. `BoostPeer --installed` tells by its exit code whether the headers were there when it was built.

#include <cstdio>

#if __has_include(<boost/interprocess/ipc/message_queue.hpp>)

#include "measuring.hpp"

#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/sync/interprocess_condition.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>

namespace ipc = boost::interprocess;

// MARK: - Messages

struct line {
    ipc::interprocess_semaphore start{0}, done{0};
};

// The processes put and take until they are killed: `share` messages each in a round.
static samples rate(int64_t budget, size_t size, unsigned count, unsigned producers) {
    auto name = "benchmarks-" + std::to_string(getpid());
    auto *round = new (shared_memory(sizeof(line))) line;
    ipc::message_queue::remove(name.c_str());
    ipc::message_queue queue(ipc::create_only, name.c_str(), size > 4096 ? 64 : 1024, size);
    ipc::message_queue::remove(name.c_str());
    children all;
    for (unsigned index = 0; index < 2 * producers; index++) {
        all.start([&, index] {
            std::vector<char> message(size, 7);
            ipc::message_queue::size_type received;
            unsigned priority;
            while (true) {
                round->start.wait();
                for (unsigned i = 0; i < count / producers; i++) {
                    if (index < producers) queue.send(message.data(), size, 0);
                    else queue.receive(message.data(), size, received, priority);
                }
                round->done.post();
            }
        });
    }
    auto times = sample_times(budget, 1, [&] {
        for (unsigned index = 0; index < 2 * producers; index++) round->start.post();
        for (unsigned index = 0; index < 2 * producers; index++) round->done.wait();
    });
    for (auto &time : times) time = count / time * 1e9;
    return times;
}

// MARK: - Locks

static samples uncontended(int64_t budget) {
    auto *mutex = new (shared_memory(sizeof(ipc::interprocess_mutex))) ipc::interprocess_mutex;
    return sample_times(budget, 1000, [&] {
        mutex->lock();
        mutex->unlock();
    });
}

struct contest {
    ipc::interprocess_mutex mutex;
    int64_t value = 0;
    int64_t counts[2] = {0, 0};
};

// Two processes increment a number, or only hold the lock, for as long as the budget is.
static samples contended(int64_t budget, bool increments) {
    auto *shared = new (shared_memory(sizeof(contest))) contest;
    int64_t start = now() + 100'000'000, end = start + budget;
    {
        children both;
        for (int index = 0; index < 2; index++) {
            both.start([=] {
                while (now() < start) {}
                int64_t count = 0;
                for (; now() < end; count += 100) {
                    for (int i = 0; i < 100; i++) {
                        shared->mutex.lock();
                        if (increments) shared->value++;
                        shared->mutex.unlock();
                    }
                }
                shared->counts[index] = count;
            });
        }
        both.wait();
    }
    return {double(budget) / (shared->counts[0] + shared->counts[1])};
}

// MARK: - Wake-ups

struct semaphores {
    ipc::interprocess_semaphore there{0}, back{0};
};

static samples halves(samples times) {
    for (auto &time : times) time /= 2;
    return times;
}

static samples wake_by_semaphore(int64_t budget) {
    auto *both = new (shared_memory(sizeof(semaphores))) semaphores;
    children partner;
    partner.start([=] {
        while (true) {
            both->there.wait();
            both->back.post();
        }
    });
    return halves(sample_times(budget, 100, [=] {
        both->there.post();
        both->back.wait();
    }));
}

struct turns {
    ipc::interprocess_mutex mutex;
    ipc::interprocess_condition changed;
    int turn = 0;
};

static samples wake_by_condition(int64_t budget) {
    auto *shared = new (shared_memory(sizeof(turns))) turns;
    auto pass = [=](int from, int to) {
        ipc::scoped_lock<ipc::interprocess_mutex> hold(shared->mutex);
        while (shared->turn != from) shared->changed.wait(hold);
        shared->turn = to;
        shared->changed.notify_one();
    };
    children partner;
    partner.start([=] {
        while (true) pass(1, 0);
    });
    return halves(sample_times(budget, 100, [=] {
        pass(0, 1);
        ipc::scoped_lock<ipc::interprocess_mutex> hold(shared->mutex);
        while (shared->turn != 0) shared->changed.wait(hold);
    }));
}

int main(int count, char **arguments) {
    if (count == 2 && std::string(arguments[1]) == "--installed") return 0;
    if (count != 3) return 2;
    std::string metric = arguments[1];
    auto budget = int64_t(std::stod(arguments[2]) * 1e9);
    auto is = [&](const char *name) { return metric == name || metric == std::string(name) + ".pinned"; };
    if (is("queue.rate.8")) tell(metric, "1/s", rate(budget, 8, 200'000, 1));
    else if (is("queue.rate.1024")) tell(metric, "1/s", rate(budget, 1024, 100'000, 1));
    else if (is("queue.rate.65536")) tell(metric, "1/s", rate(budget, 65536, 4000, 1));
    else if (is("queue.rate.2p2c.8")) tell(metric, "1/s", rate(budget, 8, 100'000, 2));
    else if (is("lock.uncontended")) tell(metric, "ns", uncontended(budget));
    else if (is("lock.contended.2")) tell(metric, "ns", contended(budget, false));
    else if (is("value.increment.2")) tell(metric, "ns", contended(budget, true));
    else if (is("wake.semaphore")) tell(metric, "ns", wake_by_semaphore(budget));
    else if (is("wake.condition")) tell(metric, "ns", wake_by_condition(budget));
    else {
        fprintf(stderr, "BoostPeer: no metric %s\n", metric.c_str());
        return 2;
    }
    return 0;
}

#else

int main() {
    fprintf(stderr, "BoostPeer was built without the headers of Boost.Interprocess\n");
    return 1;
}

#endif
