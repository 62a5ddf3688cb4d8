"""What people ask of single VMs by a word, once each: suspend, snapshot, move, reinstall …

A command, `do:` in a spec and a row of the intents table all end in `asking.ask`; handlers see the
open verbs as `seen.memory.intents`, so that plan, guard, windows, locks and dry run hold for them.
"""
