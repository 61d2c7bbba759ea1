"""Examples of a model: predictions that its owner shows to everybody who may see the model.

Replicate has no operation to make one; these two are ours.
"""

from fastapi import APIRouter, Response

from api.bodies import answer, checked
from api.dependencies import Base, JsonBody, ModelReader, ModelWriter, Wired
from api.documentation import SENT, json_request, problems
from api.paging import SIZED_PREDICTION, Order, Paging
from api.routes.models import own_model, visible_model
from shared import contract, examples, rendering
from shared.errors import NotFound
from shared.tables import Prediction

router = APIRouter(tags=["models"])

PAGE_SIZE = 25


@router.get(
    "/models/{owner}/{name}/examples",
    operation_id="models.examples.list",
    response_model=contract.PredictionPage,
    responses=problems(400, 404),
)
async def list_examples(
    owner: str, name: str, caller: ModelReader, wired: Wired, base: Base, paging: Paging
) -> Response:
    """Predictions that show what the model does; the first one stands in the model as `default_example`."""
    model = await visible_model(wired, caller, owner, name)
    order = Order(Prediction.example_since, Prediction.id, is_ascending=True)
    query = examples.of_model(model.owner, model.name)
    page = await paging.read(query, Prediction, PAGE_SIZE, order, SIZED_PREDICTION)
    return answer(page.render(lambda row: rendering.example(row, base)))


@router.post(
    "/models/{owner}/{name}/examples",
    operation_id="models.examples.create",
    status_code=201,
    responses={201: {"model": contract.Prediction}, **problems(*SENT, 404)},
    openapi_extra=json_request(contract.ExampleRequest),
)
async def create_example(
    owner: str, name: str, caller: ModelWriter, wired: Wired, base: Base, body: JsonBody
) -> Response:
    """Show a prediction of yours as an example, and keep it with its files for as long. Ours, not Replicate's."""
    model = await own_model(wired, caller, owner, name)
    wanted = checked(contract.ExampleRequest, body)
    return answer(rendering.example(await examples.show(wired.database, model, wanted.prediction), base), 201)


@router.delete(
    "/models/{owner}/{name}/examples/{prediction_id}",
    operation_id="models.examples.delete",
    status_code=204,
    responses=problems(404),
)
async def delete_example(owner: str, name: str, prediction_id: str, caller: ModelWriter, wired: Wired) -> Response:
    """Let it be a prediction like others again. Ours, not Replicate's."""
    model = await own_model(wired, caller, owner, name)
    async with wired.database.transaction() as transaction:
        is_meant = examples.is_of(model.owner, model.name, prediction_id)
        if not await examples.hide(transaction, wired.settings, is_meant):
            raise NotFound
    return Response(status_code=204)
