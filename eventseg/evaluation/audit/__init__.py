"""Audit of pseudo-labels against labels drawn by people or simulated."""
