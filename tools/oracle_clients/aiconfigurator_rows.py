"""What AIConfigurator predicts for rows of its own silicon_sample.csv: CSV with a header in, id,ttft_ms,tpot_ms out.

Runs inside its virtual environment, without a GPU, from the tables of its wheel. A row that it refuses is left out; why goes to stderr.
"""
import csv
import logging
import sys

from aiconfigurator.cli.api import cli_estimate

# As the row says, not as the tool would choose.
SIZES = {"isl": "isl", "osl": "osl", "batch_size": "batch_size", "tp_size": "tp_size", "pp_size": "pp_size", "attention_dp_size": "attention_dp_size",
         "moe_tp_size": "moe_tp_size", "moe_ep_size": "moe_ep_size"}


def estimate(row):
    sizes = {name: int(float(row[column])) for name, column in SIZES.items() if row[column]}
    types = {name: row[name] for name in ("gemm_quant_mode", "moe_quant_mode") if row[name]}
    return cli_estimate(row["model_path"], row["system"], mode="agg", backend_name=row["backend"], database_mode="HYBRID", **sizes, **types)


def main():
    logging.disable(logging.CRITICAL)
    print("id,ttft_ms,tpot_ms", flush=True)
    for row in csv.DictReader(sys.stdin):
        try:
            predicted = estimate(row)
        except Exception as refused:  # the tool's own, of any kind
            print(f"{row['id']}: {str(refused).splitlines()[0][:160] if str(refused) else type(refused).__name__}", file=sys.stderr, flush=True)
            continue
        print(f"{row['id']},{predicted.ttft:.6g},{predicted.tpot:.6g}", flush=True)


if __name__ == "__main__":
    main()
