"""What is asked of arms besides single calls: queries of several samples, throughput, arrivals at random, cold starts.

run (arrivals) -> figures -> report
"""
