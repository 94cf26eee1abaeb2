"""What is asked of data before anything is claimed of them."""

#: With fewer seeds a number is given and nothing is tested.
MIN_SEEDS = 3

#: Significance level of each test; the intervals are those of 1 - ALPHA.
ALPHA = 0.05
