//! Writing the rows of an entity's budgets.

use std::collections::BTreeMap;

use base::{Millis, Money, Result, ids};
use store::Tx;
use store::budgets::BudgetRow;

use super::{
    BudgetPatch, ModelLimit, TOTAL, WindowLimit, adjust, is_main, is_soft, parse_duration,
};
use crate::scopes::{INCREASE, MAIN, ScopeKind};
use crate::{Domain, Patch, storage};

/// Whose budgets are written, and by whom.
pub(super) struct Place<'a> {
    pub kind: ScopeKind,
    pub id: &'a str,
    pub by: Option<&'a str>,
}

/// Changes the rows that a patch speaks of; `anchor` is when the window of the main budget ends, where
/// a plan says so.
pub(super) async fn write_rows(
    domain: &Domain,
    tx: &mut Tx,
    to: &Place<'_>,
    patch: &BudgetPatch,
    anchor: Option<Millis>,
) -> Result<()> {
    let rows = store::budgets::list_for_scope(&mut *tx, to.kind.as_str(), to.id)
        .await
        .map_err(storage)?;
    let writer = Writer {
        domain,
        kind: to.kind,
        id: to.id,
        by: to.by,
        now: domain.clock.now(),
    };
    let mut main = writer.write_main(tx, &rows, patch).await?;
    if let (Some(main), Some(_)) = (&mut main, anchor)
        && main.resets_at.is_some()
    {
        main.resets_at = anchor;
        writer.put(tx, true, main).await?;
    }
    writer.write_soft(tx, &rows, patch, main.as_ref()).await?;
    writer.write_windows(tx, &rows, &patch.windows).await?;
    writer.write_models(tx, &rows, &patch.models).await?;
    let wanted = match &patch.include_byok {
        Patch::Absent => rows.iter().any(|row| row.include_byok),
        Patch::Null => false,
        Patch::Value(wanted) => *wanted,
    };
    match wanted || rows.iter().any(|row| row.include_byok) {
        true => writer.include_byok(tx, wanted).await,
        false => Ok(()),
    }
}

struct Writer<'a> {
    domain: &'a Domain,
    kind: ScopeKind,
    id: &'a str,
    by: Option<&'a str>,
    now: Millis,
}

impl Writer<'_> {
    /// Gives the row as it is afterwards.
    async fn write_main(
        &self,
        tx: &mut Tx,
        rows: &[BudgetRow],
        patch: &BudgetPatch,
    ) -> Result<Option<BudgetRow>> {
        let known = rows.iter().find(|row| is_main(row));
        let untouched = patch.max_budget.is_absent()
            && patch.duration.is_absent()
            && patch.increase.is_absent();
        if untouched {
            return Ok(known.cloned());
        }
        let mut row = known.cloned().unwrap_or_else(|| self.fresh());
        patch.max_budget.clone().apply(&mut row.amount);
        match &patch.increase {
            Patch::Absent => {}
            Patch::Null => (row.increase, row.increase_until) = (None, None),
            Patch::Value(increase) => {
                row.increase = Some(increase.amount);
                row.increase_until = Some(increase.until);
            }
        }
        let period = match &patch.duration {
            Patch::Absent => row.period.clone(),
            Patch::Null => TOTAL.to_owned(),
            Patch::Value(text) => text.trim().to_owned(),
        };
        if period != row.period {
            if known.is_some() {
                self.enter_window(tx).await?;
            }
            self.set_period(&mut row, &period)?;
        }
        if row.amount.is_none() && row.increase.is_none() && row.period == TOTAL {
            if let Some(known) = known {
                self.delete(tx, known).await?;
            }
            return Ok(None);
        }
        self.put(tx, known.is_some(), &mut row).await?;
        Ok(Some(row))
    }

    /// Says of all rows, those just made too, whether they count what people pay themselves.
    async fn include_byok(&self, tx: &mut Tx, wanted: bool) -> Result<()> {
        let rows = store::budgets::list_for_scope(&mut *tx, self.kind.as_str(), self.id)
            .await
            .map_err(storage)?;
        for mut row in rows.into_iter().filter(|row| row.include_byok != wanted) {
            row.include_byok = wanted;
            self.put(tx, true, &mut row).await?;
        }
        Ok(())
    }

    /// The soft budget is measured in the windows of the main one.
    async fn write_soft(
        &self,
        tx: &mut Tx,
        rows: &[BudgetRow],
        patch: &BudgetPatch,
        main: Option<&BudgetRow>,
    ) -> Result<()> {
        let known = rows.iter().find(|row| is_soft(row));
        let mut row = match (known, &patch.soft_budget) {
            (None, Patch::Absent | Patch::Null) => return Ok(()),
            (Some(known), Patch::Null) => return self.delete(tx, known).await,
            (Some(known), Patch::Absent) => known.clone(),
            (known, Patch::Value(amount)) => BudgetRow {
                amount: Some(*amount),
                enforcement: "soft".to_owned(),
                ..known.cloned().unwrap_or_else(|| self.fresh())
            },
        };
        row.period = main.map_or(TOTAL.to_owned(), |main| main.period.clone());
        row.resets_at = main.and_then(|main| main.resets_at);
        self.put(tx, known.is_some(), &mut row).await
    }

    async fn write_windows(
        &self,
        tx: &mut Tx,
        rows: &[BudgetRow],
        windows: &Patch<Vec<WindowLimit>>,
    ) -> Result<()> {
        let wanted: &[WindowLimit] = match windows {
            Patch::Absent => return Ok(()),
            Patch::Null => &[],
            Patch::Value(windows) => windows,
        };
        let is_window = |row: &&BudgetRow| {
            row.counter != MAIN && row.model.is_none() && row.enforcement != INCREASE
        };
        let mut known: Vec<&BudgetRow> = rows.iter().filter(is_window).collect();
        for window in wanted {
            let same = known.iter().position(|row| row.period == window.duration);
            let row = same.map(|at| known.swap_remove(at));
            self.put_own(tx, row, window.max_budget, &window.duration, None)
                .await?;
        }
        for row in known {
            self.delete(tx, row).await?;
        }
        Ok(())
    }

    async fn write_models(
        &self,
        tx: &mut Tx,
        rows: &[BudgetRow],
        models: &Patch<BTreeMap<String, ModelLimit>>,
    ) -> Result<()> {
        let none = BTreeMap::new();
        let wanted = match models {
            Patch::Absent => return Ok(()),
            Patch::Null => &none,
            Patch::Value(models) => models,
        };
        for row in rows {
            let kept = row
                .model
                .as_ref()
                .is_none_or(|model| wanted.contains_key(model));
            if !kept {
                self.delete(tx, row).await?;
            }
        }
        for (model, limit) in wanted {
            let known = rows.iter().find(|row| row.model.as_ref() == Some(model));
            let duration = limit.duration.as_deref().unwrap_or(TOTAL);
            self.put_own(tx, known, limit.max_budget, duration, Some(model))
                .await?;
        }
        Ok(())
    }

    /// Writes a budget that measures a counter of its own.
    async fn put_own(
        &self,
        tx: &mut Tx,
        known: Option<&BudgetRow>,
        amount: Money,
        duration: &str,
        model: Option<&str>,
    ) -> Result<()> {
        let mut row = known.cloned().unwrap_or_else(|| {
            let fresh = self.fresh();
            BudgetRow {
                counter: fresh.id.clone(),
                ..fresh
            }
        });
        row.amount = Some(amount);
        row.model = model.map(str::to_owned);
        if row.period != duration {
            self.set_period(&mut row, duration)?;
        }
        self.put(tx, known.is_some(), &mut row).await
    }

    fn set_period(&self, row: &mut BudgetRow, period: &str) -> Result<()> {
        row.resets_at = match period {
            TOTAL => None,
            text => {
                let zone = &self.domain.config.zone;
                Some(parse_duration(text)?.first_reset(self.now, zone))
            }
        };
        row.period = period.to_owned();
        Ok(())
    }

    /// Moves the `main` counter into its current window, so that spend of windows that are over does
    /// not count again when the period changes.
    async fn enter_window(&self, tx: &mut Tx) -> Result<()> {
        let domain = self.domain;
        let scope = domain.scopes.load(tx, self.kind, self.id).await?;
        let spend = scope.spend(self.now, &domain.config.zone);
        adjust(domain, &scope, spend).await
    }

    fn fresh(&self) -> BudgetRow {
        BudgetRow {
            id: ids::new_id(self.now),
            scope_kind: self.kind.as_str().to_owned(),
            scope_id: self.id.to_owned(),
            model: None,
            amount: None,
            increase: None,
            increase_until: None,
            period: TOTAL.to_owned(),
            zone: self
                .domain
                .config
                .zone
                .iana_name()
                .unwrap_or("UTC")
                .to_owned(),
            enforcement: "hard".to_owned(),
            include_byok: false,
            counter: MAIN.to_owned(),
            plan_id: None,
            resets_at: None,
            created_at: self.now,
            created_by: self.by.map(str::to_owned),
            updated_at: self.now,
            updated_by: self.by.map(str::to_owned),
        }
    }

    async fn put(&self, tx: &mut Tx, exists: bool, row: &mut BudgetRow) -> Result<()> {
        row.updated_at = self.now;
        row.updated_by = self.by.map(str::to_owned);
        match exists {
            true => store::budgets::update(tx, row).await.map(drop),
            false => store::budgets::insert(tx, row).await,
        }
        .map_err(storage)
    }

    async fn delete(&self, tx: &mut Tx, row: &BudgetRow) -> Result<()> {
        store::budgets::delete(tx, &row.id)
            .await
            .map(drop)
            .map_err(storage)
    }
}
