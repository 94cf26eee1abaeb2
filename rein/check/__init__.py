"""The doctor, `rein check`: are machine, tracker and data as a run needs them?"""
