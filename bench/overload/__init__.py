"""More load than a gateway can take, for minutes: what it takes, what it refuses, what it keeps.

pushing     customers who do not listen: refused or not, the next request comes at its time
probe       somebody who looks meanwhile: a one-time password and the health page, twice a second
scene       the running parts of a case, and what is counted
cases       what is too slow in each: the gateway itself, its carrier, its database
"""
