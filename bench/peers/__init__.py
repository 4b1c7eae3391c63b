"""The systems that `bench/compare.py` sets side by side, each behind the same few calls.

system      what every system is: how it starts, what runs, how it is loaded
ours        this gateway: single submits, batches, SMPP, two nodes
kannel      Kannel's bearerbox and smsbox, with three kinds of store
jasmin      Jasmin with RabbitMQ and Redis
processes   programs that are not ours: started, waited for, stopped
cost        CPU and memory of groups of processes
sink        the address that receipts are called back to
carrier     the simulated carrier, the same for all
measure     one measurement of one running system
summary     many measurements as medians, spreads and ratios
"""
