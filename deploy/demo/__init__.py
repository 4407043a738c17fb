"""The main job on real data: New York flights 2013, thousands of live changes, every view verified."""
