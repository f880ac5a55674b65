"""Reader of ROS bags: event packets of cameras in ROS 1 and ROS 2 files."""
