"""How sure a number is: intervals, power, pairs of runs, ratings. Knows no benchmark."""
