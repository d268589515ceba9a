"""How sure a number is: intervals, power, paired differences, ratings. Knows numbers, no benchmark."""
