// SPDX-License-Identifier: Apache-2.0

// MARK: - 1. What is multiprocessing?

/// Says what it is for; the tutorial's section has words only, too.
func whatItIs() {
    print(
        """
        Functions run in other processes: on all processors at once, and each with a memory of its own,
        so that a crash, a hang or a leak costs one of them and not the program.
        """
    )
}

// MARK: - 15. Best practices

/// Says what the tutorial recommends, as it is in Swift.
func bestPractices() {
    print(
        """
        - No guard around main is needed: a child runs its function, not the program.
        - Keep variables out of the top level of main.swift: children do not run it.
        - Send values as arguments or captures; share memory only through the types made for it.
        - Take a lock around every change of what is shared.
        - Give work that may hang a timeout: its process is killed, and nothing else.
        - Use processes for what may crash, hang or leak, and for work on all processors; use tasks for waiting.
        """
    )
}
