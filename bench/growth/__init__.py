"""What grows with what the store holds, with binds and with a backlog, and what does not.

fill        messages and their events, straight into the real schema
place       a gateway whose database outlives its restarts, and a carrier
flat        the cost of a message, of reading and of a start beside many others
commits     a trickle of commits beside what is measured, and the longest of them
retention   dropping a day: what others feel of it, and when its disk is free
idle        binds to carriers and of customers that do nothing
goals       what is asked of each figure
"""
